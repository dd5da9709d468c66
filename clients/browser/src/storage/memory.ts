import type {KeptEvent, Pending, Storage} from "./storage.ts";

/** For as long as the object lives: where there is no IndexedDB, and in tests. */
export class MemoryStorage implements Storage {
  private readonly waiting = new Map<string, Pending>();
  private readonly rooms = new Map<string, Map<number, KeptEvent>>();

  async putPending(pending: Pending): Promise<void> {
    this.waiting.set(pending.clientId, pending);
  }

  async removePending(clientId: string): Promise<void> {
    this.waiting.delete(clientId);
  }

  async pending(): Promise<Pending[]> {
    return [...this.waiting.values()].sort((a, b) => a.order - b.order);
  }

  async putEvents(events: readonly KeptEvent[]): Promise<void> {
    for (const event of events) {
      let room = this.rooms.get(event.room);
      if (!room) this.rooms.set(event.room, (room = new Map()));
      room.set(event.seq, event);
    }
  }

  async events(room: string): Promise<KeptEvent[]> {
    return [...(this.rooms.get(room)?.values() ?? [])].sort((a, b) => a.seq - b.seq);
  }

  async forget(room: string, seq: number): Promise<void> {
    const kept = this.rooms.get(room);
    for (const at of [...(kept?.keys() ?? [])]) if (at < seq) kept?.delete(at);
  }

  async forgetRooms(): Promise<void> {
    this.rooms.clear();
  }
}
