/** What the service wrote into the page about itself. */
export interface ServerConfig {
  /** Anybody is let in under any name. */
  readonly isDev: boolean;
  /** Of RSocket over WebSocket. */
  readonly path: string;
  readonly version: string;
  /** Where it listens, as its own machine sees it. */
  readonly ws: string;
  readonly tcp: string;
}

const content = document.querySelector<HTMLMetaElement>('meta[name="tidings"]')?.content ?? "{}";

export const serverConfig: ServerConfig = {isDev: false, path: "/rsocket", version: "", ws: "", tcp: "", ...(JSON.parse(content) as Partial<ServerConfig>)};

/** Where this page finds the service: where it came from, which may be a proxy that the service knows nothing of. */
export function serviceUrl(): string {
  return `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${serverConfig.path}`;
}
