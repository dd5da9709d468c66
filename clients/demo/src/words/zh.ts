import type {en} from "./en.ts";
import type {Words} from "./words.ts";

export const zh: Words<typeof en> = {
  "name": "Tidings",
  "signin.title": "登录",
  "signin.name": "你的名字",
  "signin.token": "令牌",
  "signin.go": "继续",
  "rooms.title": "房间",
};
