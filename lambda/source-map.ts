import { readFileSync } from 'node:fs';
import { SourceMap } from 'node:module';

/**
 * Tells frames of the bundle, a few long lines of short names, as places in the sources. The map is read when there is
 * something to tell: Node's own --enable-source-maps reads it in every cold start.
 *
 * @returns a function that takes a line of a stack, and returns it unchanged where there is no map
 */
export function sourcePlaces(): (frame: string) => string {
  const maps = new Map<string, SourceMap | undefined>();
  return (frame) =>
    frame.replace(/([^\s()]+\.js):(\d+):(\d+)/, (place, file: string, line, column) => {
      if (!maps.has(file)) maps.set(file, readMap(`${file}.map`));
      const origin = maps.get(file)?.findOrigin(Number(line), Number(column));
      if (origin === undefined || !('fileName' in origin)) return place;
      return `${origin.fileName}:${origin.lineNumber}:${origin.columnNumber}`;
    });
}

function readMap(file: string): SourceMap | undefined {
  try {
    return new SourceMap(JSON.parse(readFileSync(file, 'utf8')));
  } catch {
    return undefined;
  }
}
