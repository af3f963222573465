/** Who takes part in the demo: made-up companies, their projects, and agents with the tools that need approval. */
export const TENANTS = [
  'acme-robotics',
  'blue-harbor-bank',
  'cedar-clinic',
  'delta-freight',
  'evergreen-energy',
  'fjord-travel',
  'granite-insurance',
  'hazel-foods',
  'indigo-telecom',
  'juniper-legal',
  'kestrel-games',
  'lumen-university',
] as const;

export const PROJECTS = ['support', 'operations', 'finance'] as const;

interface Tool {
  name: string;
  args: (pick: () => number) => Record<string, unknown>;
}

export const AGENTS: readonly { id: string; tools: readonly Tool[] }[] = [
  {
    id: 'refund-agent',
    tools: [
      { name: 'issue_refund', args: (pick) => ({ orderId: `ord_${pick()}`, amount: pick() / 100, currency: 'EUR' }) },
      { name: 'send_email', args: (pick) => ({ to: `customer${pick()}@example.com`, template: 'refund-issued' }) },
    ],
  },
  {
    id: 'deploy-agent',
    tools: [
      { name: 'restart_service', args: (pick) => ({ service: `worker-${pick() % 9}`, region: 'eu-central' }) },
      { name: 'run_migration', args: (pick) => ({ database: 'orders', version: pick() }) },
    ],
  },
  {
    id: 'billing-agent',
    tools: [
      { name: 'charge_card', args: (pick) => ({ customerId: `cus_${pick()}`, amount: pick() }) },
      { name: 'cancel_subscription', args: (pick) => ({ subscriptionId: `sub_${pick()}`, immediately: true }) },
    ],
  },
  {
    id: 'records-agent',
    tools: [
      { name: 'delete_record', args: (pick) => ({ table: 'contacts', id: pick() }) },
      { name: 'export_report', args: (pick) => ({ report: 'monthly', month: (pick() % 12) + 1 }) },
    ],
  },
];
