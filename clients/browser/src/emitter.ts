/** Listeners by event name. */
export class Emitter<Events extends object> {
  private readonly listeners: {[Name in keyof Events]?: Set<(value: Events[Name]) => void>} = {};

  /** Call `listener` on every `name` from now on; call what is returned to stop. */
  on<Name extends keyof Events>(name: Name, listener: (value: Events[Name]) => void): () => void {
    const set = (this.listeners[name] ??= new Set());
    set.add(listener);
    return () => void set.delete(listener);
  }

  /** A listener that throws is reported as any uncaught error is, and keeps nobody else from being told. */
  emit<Name extends keyof Events>(name: Name, value: Events[Name]): void {
    for (const listener of [...(this.listeners[name] ?? [])]) {
      try {
        listener(value);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}
