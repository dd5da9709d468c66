/** What the service wrote into the page about itself. */
export interface Told {
  /** Anybody is let in under any name. */
  readonly dev: boolean;
  /** Of RSocket over WebSocket. */
  readonly path: string;
  readonly version: string;
  /** Where it listens, as its own machine sees it. */
  readonly ws: string;
  readonly tcp: string;
}

const content = document.querySelector<HTMLMetaElement>('meta[name="tidings"]')?.content ?? "{}";

export const told: Told = {dev: false, path: "/rsocket", version: "", ws: "", tcp: "", ...(JSON.parse(content) as Partial<Told>)};

/** Where this page finds the service: where it came from, which may be a proxy that the service knows nothing of. */
export function address(): string {
  return `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${told.path}`;
}
