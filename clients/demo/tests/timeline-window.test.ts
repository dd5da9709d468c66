import assert from "node:assert/strict";
import {test} from "node:test";
import type {Event} from "@tidings/client";
import {type Message, withReaction} from "../src/conversation/model/message.ts";
import {buildRows} from "../src/conversation/model/rows.ts";
import {TimelineWindow} from "../src/conversation/model/timeline-window.ts";
import {event, posted, postedRange} from "./log-events.ts";

const edited = (seq: number, target: number, text: string) => event(seq, {case: "edited", value: {target: BigInt(target), text}});
const deleted = (seq: number, target: number) => event(seq, {case: "deleted", value: {target: BigInt(target)}});
const reacted = (seq: number, target: number, emoji: string, actor: string, removed = false) =>
  event(seq, {case: "reacted", value: {target: BigInt(target), emoji, removed}}, {actor});
const texts = (timeline: TimelineWindow) => timeline.entries.map((entry) => (entry.kind === "message" ? entry.text : entry.kind));
const page = (events: Event[], more: boolean, head: number) => ({events, more, head: {seq: BigInt(head)}});

test("pages and live events make one contiguous range", () => {
  const timeline = new TimelineWindow();
  timeline.replace(postedRange(5, 6), {asOf: 6});
  timeline.prepend(page(postedRange(3, 4), true, 6));
  timeline.applyEvents([posted(7)]);
  assert.deepEqual(texts(timeline), ["m3", "m4", "m5", "m6", "m7"]);
  assert.ok(timeline.isAtEnd);
  assert.ok(!timeline.isAtBeginning);
  timeline.prepend(page(postedRange(1, 2), false, 7));
  assert.ok(timeline.isAtBeginning);
});

test("overlapping pages add no event twice", () => {
  const timeline = new TimelineWindow();
  timeline.replace(postedRange(5, 8), {asOf: 8});
  timeline.prepend(page(postedRange(3, 6), true, 8));
  timeline.append(page(postedRange(7, 10), false, 10));
  timeline.applyEvents(postedRange(9, 11));
  assert.deepEqual(texts(timeline), postedRange(3, 11).map((at) => `m${at.seq}`));
});

test("edits, deletions and reactions change the message and add no entry", () => {
  const timeline = new TimelineWindow();
  timeline.replace(postedRange(1, 2), {asOf: 2});
  timeline.applyEvents([edited(3, 1, "better"), reacted(4, 1, "👍", "bob"), reacted(5, 1, "👍", "eve"), reacted(6, 1, "👍", "bob", true), deleted(7, 2)]);
  const [first, second] = timeline.entries as [Message, Message];
  assert.equal(first.text, "better");
  assert.equal(first.editedAtMs, 3000);
  assert.deepEqual(first.reactions, [{emoji: "👍", users: ["eve"], count: 1}]);
  assert.ok(second.deleted);
  assert.equal(second.text, "");
  assert.equal(timeline.to, 7);
});

test("changes that a message already carries are not applied again", () => {
  const reactions = [{emoji: "👍", users: ["bob"], count: 1}];
  const timeline = new TimelineWindow();
  timeline.replace([], {to: 0});
  timeline.applyEvents([posted(1, "third", {editedAtMs: 4000n, reactions}), edited(2, 1, "second"), edited(4, 1, "third"), reacted(5, 1, "👍", "bob")]);
  const [message] = timeline.entries as [Message];
  assert.equal(message.text, "third");
  assert.deepEqual(message.reactions, reactions);
});

test("a change that arrived before its page is applied to it", () => {
  const timeline = new TimelineWindow();
  timeline.replace(postedRange(50, 51), {asOf: 51});
  timeline.applyEvents([edited(52, 10, "overtook")]);
  timeline.prepend(page(postedRange(10, 49), true, 51));
  assert.equal(texts(timeline)[0], "overtook");
  timeline.prepend(page([posted(9)], true, 52));
  assert.equal(texts(timeline)[1], "overtook");
});

test("changes among cached events are applied", () => {
  const timeline = new TimelineWindow();
  timeline.replace([posted(1), posted(2), reacted(3, 1, "🎉", "bob"), edited(4, 2, "new")]);
  assert.equal((timeline.entries[0] as Message).reactions[0]?.emoji, "🎉");
  assert.equal(texts(timeline)[1], "new");
});

test("away from the end of the log, live events only advance the head", () => {
  const timeline = new TimelineWindow();
  timeline.replace(postedRange(10, 20), {asOf: 90});
  assert.ok(!timeline.isAtEnd);
  timeline.applyEvents([posted(91), edited(92, 10, "still changed")]);
  assert.equal(timeline.to, 20);
  assert.equal(timeline.head, 92);
  assert.equal(texts(timeline)[0], "still changed");
  timeline.append(page(postedRange(21, 92), false, 92));
  assert.ok(timeline.isAtEnd);
});

test("too many entries are dropped at the far end and can be loaded again", () => {
  const timeline = new TimelineWindow();
  timeline.replace(postedRange(1, 10), {asOf: 10, beginning: true});
  timeline.dropOldest(4);
  assert.deepEqual(texts(timeline), ["m7", "m8", "m9", "m10"]);
  assert.ok(!timeline.isAtBeginning);
  timeline.prepend(page(postedRange(1, 6), false, 10));
  assert.equal(timeline.entries.length, 10);
  timeline.dropNewest(4);
  assert.ok(!timeline.isAtEnd);
  timeline.applyEvents([posted(11)]);
  assert.deepEqual(texts(timeline), ["m1", "m2", "m3", "m4"]);
  timeline.append(page(postedRange(5, 11), false, 11));
  assert.equal(timeline.entries.length, 11);
});

test("events that the service skipped are a gap entry", () => {
  const timeline = new TimelineWindow();
  timeline.replace(postedRange(1, 3), {asOf: 3});
  timeline.addGap(4, 9);
  timeline.applyEvents([posted(10)]);
  assert.deepEqual(texts(timeline), ["m1", "m2", "m3", "gap", "m10"]);
  assert.ok(timeline.isAtEnd);
});

test("a reaction of a user who is not listed can be removed", () => {
  const users = Array.from({length: 50}, (_, at) => `u${at}`);
  const timeline = new TimelineWindow();
  timeline.replace([posted(1, "famous", {reactions: [{emoji: "👍", users, count: 60}]})], {asOf: 1});
  const famous = timeline.message(1)!;
  assert.equal(withReaction(famous, "👍", "somebody", true).reactions[0]?.count, 59);
  assert.equal(withReaction(famous, "👍", "u3", false), famous);
});

test("rows have days, groups, a divider, and outgoing messages", () => {
  const day = Date.UTC(2026, 0, 5, 12);
  const at = (seq: number, minutes: number, actor: string) => posted(seq, `m${seq}`, {}, {atMs: day + minutes * 60_000, actor, clientId: `c${seq}`});
  const timeline = new TimelineWindow();
  timeline.replace([at(1, 0, "ada"), at(2, 1, "ada"), at(3, 10, "ada"), at(4, 11, "bob"), at(5, 3000, "bob")], {asOf: 5});
  const outgoing = [{clientId: "x", text: "soon", replyTo: 0, atMs: day + 3001 * 60_000, state: "waiting" as const, why: ""}];
  const rows = buildRows({entries: timeline.entries, outgoing, me: "ada", unreadFrom: 4, from: 1});
  assert.deepEqual(
    rows.map((row) => (row.kind === "message" ? `${row.message.seq}${row.first ? "*" : ""}` : row.kind)),
    ["day", "1*", "2", "3*", "unread", "4*", "day", "5*", "outgoing"],
  );
  assert.equal(rows[1]!.key, "sent c1", "mine keeps its row when it gets its number");
  assert.equal(rows[1]!.kind === "message" && rows[1]!.next, 2);
  assert.equal(new Set(rows.map(({key}) => key)).size, rows.length);
});

test("members who join or leave within a minute share a line", () => {
  const member = (seq: number, seconds: number, user: string, {actor = user, left = false} = {}) =>
    event(seq, {case: "member", value: {user, role: left ? 0 : 3, left}}, {atMs: seconds * 1000, actor});
  const notes = (events: Event[]) => {
    const timeline = new TimelineWindow();
    timeline.replace(events, {asOf: events.length});
    const rows = buildRows({entries: timeline.entries, outgoing: [], me: "me", direct: false, unreadFrom: 0, from: 1});
    return rows.flatMap((row) => (row.kind === "system" ? [`${row.message.kind} ${row.about}`] : []));
  };
  assert.deepEqual(notes([member(1, 0, "ada"), member(2, 10, "bob"), member(3, 50, "eve"), member(4, 61, "kim")]), ["joined ada,bob,eve", "joined kim"]);
  assert.deepEqual(notes([member(1, 0, "ada"), member(2, 1, "ada", {left: true}), member(3, 2, "bob", {left: true})]), ["joined ada", "left ada,bob"]);
  const brought = [member(1, 0, "ada"), member(2, 1, "bob", {actor: "ada"}), member(3, 2, "eve", {actor: "ada"}), member(4, 3, "kim", {actor: "eve"})];
  assert.deepEqual(notes(brought), ["joined ada", "joined bob,eve", "joined kim"]);
  const made = event(1, {case: "changed", value: {title: "Room", created: true}}, {atMs: 0, actor: "ada"});
  assert.deepEqual(notes([made, member(2, 0, "ada"), member(3, 1, "bob")]), ["created Room", "joined bob"]);
});

test("if the first new message is above the page there is no divider", () => {
  const timeline = new TimelineWindow();
  timeline.replace(postedRange(10, 12), {asOf: 12});
  const kinds = (from: number) => buildRows({entries: timeline.entries, outgoing: [], me: "bob", unreadFrom: 5, from}).map(({kind}) => kind);
  assert.ok(!kinds(timeline.from).includes("unread"));
  timeline.prepend(page(postedRange(1, 9), false, 12));
  assert.equal(kinds(timeline.from)[5], "unread");
});
