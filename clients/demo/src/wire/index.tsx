/** The panel that shows what goes over the wire. */
export function WirePanel() {
  return null;
}
