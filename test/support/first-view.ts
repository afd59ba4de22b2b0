import type { DatabaseClient } from '../../lambda/postgres/connection.ts';

/** As the first versions of the migration made it. */
const FIRST_VIEW = `
  CREATE VIEW user_login_repeats AS
  SELECT kind, masked_value, count(*) AS logins, count(DISTINCT subject) AS distinct_users,
         min(create_date) AS first_date, max(create_date) AS last_date
  FROM (SELECT 'ip' AS kind, masked_ip AS masked_value, user_id AS subject, create_date FROM user_logins
        UNION ALL
        SELECT 'device_id' AS kind, masked_device_id AS masked_value, user_id AS subject, create_date FROM user_logins) AS occurrence
  WHERE masked_value IS NOT NULL GROUP BY kind, masked_value HAVING count(*) > 1`;
const MARK = `'Made by Vizard, and not changed where this is its definition: '
  || encode(sha256(convert_to(pg_get_viewdef('user_login_repeats'::regclass), 'UTF8')), 'hex')`;

export interface FirstViewOptions {
  /** As the later ones of them left it, which put a mark on it. @default false */
  readonly marked?: boolean;
}

/** Makes a schema that was migrated as one of the first versions is, as whoever the session is. */
export async function takeBackToFirstView(
  client: DatabaseClient,
  { marked = false }: FirstViewOptions = {},
): Promise<void> {
  await client.query('DROP VIEW user_login_repeats, user_logins_current');
  await client.query('DROP TABLE user_logins_aliases, user_logins_rekeys, user_logins_rekey_groups');
  await client.query(FIRST_VIEW);
  if (!marked) return;
  const { rows } = await client.query<{ mark: string }>(`SELECT quote_literal(${MARK}) AS mark`);
  await client.query(`COMMENT ON VIEW user_login_repeats IS ${rows[0]!.mark}`);
}
