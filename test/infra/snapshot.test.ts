import { describe, expect, it } from 'vitest';
import { DEPLOYMENTS, template } from './deployments.ts';

/** Hashes of code change with every line of it. */
function withoutHashes(json: unknown): unknown {
  const text = JSON.stringify(json)
    .replace(/[0-9a-f]{64}/g, '<hash>')
    .replace(/(CurrentVersion[0-9A-F]{8})[0-9a-f]{32}/g, '$1<hash>');
  return JSON.parse(text);
}

describe('the template', () => {
  it.each(Object.entries(DEPLOYMENTS))('of %s', async (name, context) => {
    const json = JSON.stringify(withoutHashes(template(context).toJSON()), undefined, 2);

    await expect(`${json}\n`).toMatchFileSnapshot(`snapshots/${name}.json`);
  });
});
