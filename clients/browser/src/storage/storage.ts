/** What a client keeps over a reload: messages not sent yet, and the newest events of rooms. One storage, one account. */

/** A message on its way. `atMs` is this device's clock, for showing it; `order` is the order they were written in. */
export interface PendingMessage {
  readonly clientId: string;
  readonly room: string;
  readonly text: string;
  readonly replyTo: number;
  readonly atMs: number;
  readonly order: number;
  /** The tab that sends it, where tabs know of each other. */
  readonly ownerTab?: string;
}

/** An event as it came over the connection. */
export interface CachedEvent {
  readonly room: string;
  readonly seq: number;
  readonly epoch: string;
  readonly data: Uint8Array<ArrayBuffer>;
}

export interface Storage {
  putPending(pending: PendingMessage): Promise<void>;
  removePending(clientId: string): Promise<void>;
  pending(): Promise<PendingMessage[]>;
  /** The same (room, seq) again replaces what was there. */
  putEvents(events: readonly CachedEvent[]): Promise<void>;
  /** In order of seq. */
  events(room: string): Promise<CachedEvent[]>;
  /** Forget a room's events below `seq`; Infinity forgets them all. */
  deleteEvents(room: string, seq: number): Promise<void>;
  /** Forget the events of all rooms; messages not sent yet stay. */
  deleteAllEvents(): Promise<void>;
}
