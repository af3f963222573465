/** Which way imports may point (design: controllers and schedulers → services → repositories → entities). */
const path = (pattern) => ({ path: pattern });
const FEATURES = '(sweeps|executions|held-locks|timeouts|drop-in|health|metrics|demo)';

module.exports = {
  forbidden: [
    {
      name: 'no-cycles',
      comment:
        'Modules that need each other can be understood only together, and ES modules meet each other half loaded.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'no-orphans',
      comment: 'What nobody imports is dead, unless it is a program, a test or a setting.',
      severity: 'error',
      from: { orphan: true, pathNot: '(\\.spec\\.ts$|^bench/|^test/support/.*\\.mjs$|^src/(main|openapi|cli)\\.ts$)' },
      to: {},
    },
    {
      name: 'nothing-imports-tests',
      comment: 'The service must build and run without its tests.',
      severity: 'error',
      from: { path: '^(src|ormconfig)', pathNot: '\\.spec\\.ts$' },
      to: path('^(test|bench)/|\\.spec\\.ts$'),
    },
    {
      name: 'config-stands-alone',
      comment: 'Configuration is read before anything else exists.',
      severity: 'error',
      from: path('^src/config/'),
      to: path('^src/(?!config/)'),
    },
    {
      name: 'locks-know-no-feature',
      comment: 'Locks are what other projects will want to copy: of the rest they need nothing but durations.',
      severity: 'error',
      from: path('^src/locks/'),
      to: path('^src/(?!locks/|config/duration\\.ts$)'),
    },
    {
      name: 'foundations-know-no-feature',
      comment:
        'Features stand on access, locks, database and http, never the other way round; entities are listed for TypeORM.',
      severity: 'error',
      from: path('^src/(access|database|http)/'),
      to: { path: `^src/${FEATURES}/`, pathNot: '\\.entity\\.ts$' },
    },
    {
      name: 'controllers-call-services',
      comment: 'A route or a tick is one service call; SQL and rules are elsewhere.',
      severity: 'error',
      from: path('\\.(controller|scheduler)\\.ts$'),
      to: path('\\.(repository|entity|controller|scheduler)\\.ts$|^node_modules/(typeorm|pg)/'),
    },
    {
      name: 'commands-call-services',
      comment:
        'A command is another way in beside the routes: the same services, rules and DTOs, no SQL of its own and no second way to do anything.',
      severity: 'error',
      from: { path: '^src/cli/', pathNot: '^src/cli/doctor/' },
      to: path('\\.(repository|entity|controller|scheduler)\\.ts$|^node_modules/pg/'),
    },
    {
      name: 'doctor-asks-the-catalogue',
      comment:
        'What the doctor looks at may be missing, so it asks PostgreSQL itself and boots nothing: no module, no service that needs one.',
      severity: 'error',
      from: path('^src/cli/doctor/'),
      to: path('\\.(module|service|repository|controller|scheduler)\\.ts$'),
    },
    {
      name: 'nothing-imports-commands',
      comment: 'The service runs without its command line.',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/cli(/|\\.ts$)' },
      to: path('^src/cli/'),
    },
    {
      name: 'services-know-no-routes',
      comment: 'Rules hold for every trigger, not for HTTP alone.',
      severity: 'error',
      from: path('\\.service\\.ts$'),
      to: path('\\.(controller|scheduler)\\.ts$|^node_modules/(express|@nestjs/platform-express)/'),
    },
    {
      name: 'repositories-call-nobody',
      comment: 'A repository is all SQL: it knows entities and the shape of tables.',
      severity: 'error',
      from: path('\\.repository\\.ts$'),
      to: path('\\.(service|controller|scheduler|module)\\.ts$'),
    },
    {
      name: 'entities-know-nobody',
      comment: 'An entity is a row.',
      severity: 'error',
      from: path('\\.entity\\.ts$'),
      to: { path: '^src/', pathNot: '^src/access/role\\.ts$' },
    },
    {
      name: 'features-enter-by-the-door',
      comment:
        "A feature uses another's module, services, entities and errors, not its repositories, controllers or routes.",
      severity: 'error',
      from: path(`^src/${FEATURES}/`),
      to: {
        path: `^src/${FEATURES}/.*\\.(repository|controller|scheduler|dto)\\.ts$`,
        pathNot: '^src/$1/',
      },
    },
  ],
  options: {
    doNotFollow: path('node_modules'),
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
  },
};
