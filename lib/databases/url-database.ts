import { ENV } from '../../lambda/names.ts';
import type { ServiceFunction } from '../service-function.ts';
import type { IngestDatabase } from './ingest-database.ts';

/**
 * Any Postgres by its URL, password included: for LocalStack and other emulators, where nothing is secret. Whoever may
 * look at the function's configuration reads the password.
 */
export class UrlDatabase implements IngestDatabase {
  readonly placement = undefined;
  readonly clusterIdentifier = undefined;
  private readonly url: string;

  /** @param url as the functions reach it: postgres://user:password@host:5432/database */
  constructor(url: string) {
    this.url = url;
  }

  grantAdminister(migration: ServiceFunction): void {
    migration.addEnvironment({ [ENV.databaseUrl]: this.url });
  }

  grantWrite(ingest: ServiceFunction): void {
    ingest.addEnvironment({ [ENV.databaseUrl]: this.url });
  }

  /** Who may log in is in the URL. */
  grantConnect(): void {}
}
