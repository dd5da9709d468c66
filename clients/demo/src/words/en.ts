/** The words of the shell: signing in, rooms, people, settings. */
export const en = {
  "name": "Tidings",
  "signin.title": "Sign in",
  "signin.name": "Your name",
  "signin.token": "Token",
  "signin.go": "Go on",
  "rooms.title": "Rooms",
};
