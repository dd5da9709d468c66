import type {CachedEvent, PendingMessage, Storage} from "./storage.ts";

/** For as long as the object lives: where there is no IndexedDB, and in tests. */
export class MemoryStorage implements Storage {
  private readonly pendingMessages = new Map<string, PendingMessage>();
  private readonly rooms = new Map<string, Map<number, CachedEvent>>();

  async putPending(pending: PendingMessage): Promise<void> {
    this.pendingMessages.set(pending.clientId, pending);
  }

  async removePending(clientId: string): Promise<void> {
    this.pendingMessages.delete(clientId);
  }

  async pending(): Promise<PendingMessage[]> {
    return [...this.pendingMessages.values()].sort((a, b) => a.order - b.order);
  }

  async putEvents(events: readonly CachedEvent[]): Promise<void> {
    for (const event of events) {
      let room = this.rooms.get(event.room);
      if (!room) this.rooms.set(event.room, (room = new Map()));
      room.set(event.seq, event);
    }
  }

  async events(room: string): Promise<CachedEvent[]> {
    return [...(this.rooms.get(room)?.values() ?? [])].sort((a, b) => a.seq - b.seq);
  }

  async deleteEvents(room: string, seq: number): Promise<void> {
    const kept = this.rooms.get(room);
    for (const at of [...(kept?.keys() ?? [])]) if (at < seq) kept?.delete(at);
  }

  async deleteAllEvents(): Promise<void> {
    this.rooms.clear();
  }
}
