import { inject } from 'vitest';
import type { TlsLogin } from '../../lambda/postgres/connection.ts';
import { HOSTNAME } from './postgres-server.ts';

/** A login by TLS at the database of a URL; its user and password where no other are named. */
export function tlsLogin(url: string, changes: Partial<TlsLogin> = {}): TlsLogin {
  const { port, pathname, username, password } = new URL(url);
  const authority = inject('certificateAuthority');
  return {
    kind: 'tls',
    host: HOSTNAME,
    port: Number(port),
    database: pathname.slice(1),
    user: username,
    password: () => Promise.resolve(password),
    certificates: () => Promise.resolve([authority]),
    ...changes,
  };
}
