/** Small things that survive a reload, in the browser's localStorage: per account and room. */

export interface Keep<T> {
  load(): T | undefined;
  /** An empty text or list removes it. */
  save(value: T): void;
}

/** `what` of a room of this account. A browser without storage, or with a full one, forgets at the next reload. */
export function keepOf<T extends {readonly length: number}>(what: string, account: string, room: string): Keep<T> {
  const key = `tidings.${what}.${account}.${room}`;
  return {
    load() {
      try {
        const text = localStorage.getItem(key);
        return text === null ? undefined : (JSON.parse(text) as T);
      } catch {
        return undefined;
      }
    },
    save(value) {
      try {
        if (value.length) localStorage.setItem(key, JSON.stringify(value));
        else localStorage.removeItem(key);
      } catch {
        // It stays on the page, which is where it is looked at.
      }
    },
  };
}
