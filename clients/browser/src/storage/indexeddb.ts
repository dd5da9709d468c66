import {MemoryStorage} from "./memory.ts";
import type {CachedEvent, PendingMessage, Storage} from "./storage.ts";

const VERSION = 1;

/** Kept by the browser, one database per account. A browser that refuses (private windows) gives memory instead. */
export async function openStorage(name: string, factory: IDBFactory | undefined = globalThis.indexedDB): Promise<Storage> {
  if (!factory) return new MemoryStorage();
  try {
    return new IndexedDbStorage(await open(factory, `tidings:${name}`));
  } catch {
    return new MemoryStorage();
  }
}

function open(factory: IDBFactory, name: string): Promise<IDBDatabase> {
  const request = factory.open(name, VERSION);
  request.onupgradeneeded = () => {
    request.result.createObjectStore("outbox", {keyPath: "clientId"});
    request.result.createObjectStore("events", {keyPath: ["room", "seq"]});
  };
  return completed(request);
}

class IndexedDbStorage implements Storage {
  constructor(private readonly database: IDBDatabase) {
    // Another tab with a newer version of this library must not wait for us.
    database.onversionchange = () => database.close();
  }

  async putPending(pending: PendingMessage): Promise<void> {
    await this.write("outbox", (store) => void store.put(pending));
  }

  async removePending(clientId: string): Promise<void> {
    await this.write("outbox", (store) => void store.delete(clientId));
  }

  async pending(): Promise<PendingMessage[]> {
    const all: PendingMessage[] = await completed(this.database.transaction("outbox").objectStore("outbox").getAll());
    return all.sort((a, b) => a.order - b.order);
  }

  async putEvents(events: readonly CachedEvent[]): Promise<void> {
    await this.write("events", (store) => events.forEach((event) => store.put(event)));
  }

  async events(room: string): Promise<CachedEvent[]> {
    return completed(this.database.transaction("events").objectStore("events").getAll(keysBelow(room, Infinity)));
  }

  async deleteEvents(room: string, seq: number): Promise<void> {
    await this.write("events", (store) => void store.delete(keysBelow(room, seq)));
  }

  async deleteAllEvents(): Promise<void> {
    await this.write("events", (store) => void store.clear());
  }

  private write(name: string, change: (store: IDBObjectStore) => void): Promise<void> {
    const transaction = this.database.transaction(name, "readwrite");
    change(transaction.objectStore(name));
    return new Promise((resolve, reject) => {
      transaction.oncomplete = () => resolve();
      transaction.onabort = () => reject(transaction.error);
    });
  }
}

function keysBelow(room: string, seq: number): IDBKeyRange {
  return IDBKeyRange.bound([room, -Infinity], [room, seq], false, true);
}

function completed<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
