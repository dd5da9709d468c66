/** What a client keeps over a reload: messages not sent yet, and the newest events of rooms. One storage, one account. */

/** A message on its way. `atMs` is this device's clock, for showing it; `order` is the order they were written in. */
export interface Pending {
  readonly clientId: string;
  readonly room: string;
  readonly text: string;
  readonly replyTo: number;
  readonly atMs: number;
  readonly order: number;
  /** The tab that sends it, where tabs know of each other. */
  readonly by?: string;
}

/** An event as it came over the wire. */
export interface KeptEvent {
  readonly room: string;
  readonly seq: number;
  readonly epoch: string;
  readonly data: Uint8Array<ArrayBuffer>;
}

export interface Storage {
  putPending(pending: Pending): Promise<void>;
  removePending(clientId: string): Promise<void>;
  pending(): Promise<Pending[]>;
  /** The same (room, seq) again replaces what was there. */
  putEvents(events: readonly KeptEvent[]): Promise<void>;
  /** In order of seq. */
  events(room: string): Promise<KeptEvent[]>;
  /** Forget a room's events below `seq`; Infinity forgets them all. */
  forget(room: string, seq: number): Promise<void>;
  /** Forget the events of all rooms; messages not sent yet stay. */
  forgetRooms(): Promise<void>;
}
