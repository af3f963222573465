import { Module } from '@nestjs/common';
import { APP_GUARD, APP_INTERCEPTOR, DiscoveryModule } from '@nestjs/core';
import { TypeOrmModule } from '@nestjs/typeorm';
import { ReadableInputGuard } from '../http/deferred-fault.js';
import { ApiKeyEntity } from './api-key.entity.js';
import { ApiKeyAuthenticator } from './api-key-authenticator.service.js';
import { ApiKeysController } from './api-keys.controller.js';
import { ApiKeysRepository } from './api-keys.repository.js';
import { ApiKeysService } from './api-keys.service.js';
import { AuthenticationGuard } from './authentication.guard.js';
import { Authenticator } from './authenticator.service.js';
import { FailedAttempts } from './failed-attempts.js';
import { JwtAuthenticator } from './jwt-authenticator.service.js';
import { OpenStreamsInterceptor } from './open-streams.interceptor.js';
import { OpenStreams } from './open-streams.service.js';
import { RateLimitGuard } from './rate-limit.guard.js';
import { RoleGuard } from './role.guard.js';
import { RouteDeclarations } from './route-declarations.js';
import { ScopeGuard } from './scope.guard.js';

@Module({
  imports: [DiscoveryModule, TypeOrmModule.forFeature([ApiKeyEntity])],
  controllers: [ApiKeysController],
  providers: [
    ApiKeyAuthenticator,
    ApiKeysRepository,
    ApiKeysService,
    Authenticator,
    FailedAttempts,
    JwtAuthenticator,
    OpenStreams,
    RouteDeclarations,
    { provide: APP_INTERCEPTOR, useClass: OpenStreamsInterceptor },
    // In this order: each builds on what the one before found out, and the rate limit counts what is refused after it.
    { provide: APP_GUARD, useClass: AuthenticationGuard },
    { provide: APP_GUARD, useClass: RateLimitGuard },
    { provide: APP_GUARD, useClass: RoleGuard },
    { provide: APP_GUARD, useClass: ScopeGuard },
    { provide: APP_GUARD, useClass: ReadableInputGuard },
  ],
})
export class AccessModule {}
