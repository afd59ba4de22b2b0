import type { TableDeclaration } from './declaration.ts';

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
  repeats: { view: 'user_login_repeats', count: 'logins', subject: 'user_id', subjects: 'distinct_users' },
} as const satisfies TableDeclaration;
