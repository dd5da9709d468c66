/** What is between a room's head and the bottom of the page. */
export function Conversation({room}: {room: string; jump?: bigint}) {
  return <section aria-label={room} />;
}
