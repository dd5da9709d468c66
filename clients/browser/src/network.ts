/** Whether the browser has a network. */
export interface NetworkStatus {
  online(): boolean;
  /** Call what is returned to stop. */
  onChange(listener: () => void): () => void;
}

/** What the platform says; where it says nothing (Node, some workers) there is always a network. */
export const platformNetwork: NetworkStatus = {
  online: () => (globalThis.navigator as Navigator | undefined)?.onLine !== false,
  onChange(listener) {
    if (typeof globalThis.addEventListener !== "function") return () => undefined;
    globalThis.addEventListener("online", listener);
    globalThis.addEventListener("offline", listener);
    return () => {
      globalThis.removeEventListener("online", listener);
      globalThis.removeEventListener("offline", listener);
    };
  },
};
