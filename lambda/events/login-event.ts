import type { AddressColumn, TableDeclaration } from './declaration.ts';

/** By which analysts group logins by network, without seeing which. */
const ipNetwork = {
  column: 'masked_ip_network',
  source: ['ip'],
  type: 'address',
  mask: { domain: 'ip_network', policy: 'network' },
} as const satisfies AddressColumn;

/** The login event: everything that is particular to it. Another event is another declaration like this one. */
export const loginEvents = {
  table: 'user_logins',
  columns: [
    { column: 'user_id', source: ['user_id'], type: 'text', maxLength: 128 },
    { column: 'device_type', source: ['device_type'], type: 'text', maxLength: 32 },
    { column: 'masked_ip', source: ['ip'], type: 'address', mask: { domain: 'ip' } },
    { column: 'masked_device_id', source: ['device_id'], type: 'text', mask: { domain: 'device_id' } },
    { column: 'locale', source: ['locale'], type: 'text', maxLength: 32, optional: true },
    { column: 'app_version', source: ['app_version'], type: 'version' },
  ],
  further: [ipNetwork],
  repeats: { view: 'user_login_repeats', count: 'logins', subject: 'user_id', subjects: 'distinct_users' },
} as const satisfies TableDeclaration;

/** What a configuration can add to the login event. */
export interface FurtherColumns {
  /** The column `masked_ip_network`. */
  readonly ipNetwork: boolean;
}

/** The login event with the further columns that are wanted. */
export function loginEventsWith(wanted: FurtherColumns): TableDeclaration {
  return wanted.ipNetwork ? { ...loginEvents, columns: [...loginEvents.columns, ipNetwork] } : loginEvents;
}
