// A client in JavaScript with nothing but Node, written from docs/protocol.md alone, and its driver for the conformance
// runner:  wirechat conform client -- node examples/client.mjs
// TCP only; level L1 without presence of others' profiles. Everything durable is one JSON file, replaced as a whole.
import crypto from "node:crypto";
import fs from "node:fs";
import net from "node:net";
import path from "node:path";
import readline from "node:readline";

const { WIRECHAT_URL, WIRECHAT_HANDLE, WIRECHAT_PASSWORD, WIRECHAT_STATE, WIRECHAT_DEVICE, WIRECHAT_KEY } = process.env;
const FILE = path.join(WIRECHAT_STATE, "state.json");
const MSG = 1, EDIT = 2, DELETE = 3, REACT = 4, PIN = 5, CREATE = 6, ADD = 7, REMOVE = 8, UNPIN = 13, HIDE = 14;
const BLOCK = 15, UNBLOCK = 16, KINDS = new Set([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 13, 14, 15, 16, 17, 18]);
const FINAL = new Set([1005, 2001, 2003, 2004, 2005, 2007]);
const SERVER_FRAME_BYTES = 131072, WINDOW = 64;

// --- msgpack (section 3)

function pack(value) {
  if (value === null || value === undefined) return Buffer.from([0xc0]);
  if (typeof value === "boolean") return Buffer.from([value ? 0xc3 : 0xc2]);
  if (typeof value === "number") {
    if (value < 0x80) return Buffer.from([value]);
    const at = value < 0x100 ? 0 : value < 0x10000 ? 1 : value < 2 ** 32 ? 2 : 3;
    const bytes = Buffer.alloc(1 + 2 ** at);
    bytes[0] = 0xcc + at;
    if (at === 3) bytes.writeBigUInt64BE(BigInt(value), 1);
    else bytes.writeUIntBE(value, 1, 2 ** at);
    return bytes;
  }
  if (typeof value === "string") {
    const bytes = Buffer.from(value);
    return Buffer.concat([bytes.length < 32 ? Buffer.from([0xa0 | bytes.length]) : head(0xd9, bytes.length), bytes]);
  }
  if (Buffer.isBuffer(value)) return Buffer.concat([head(0xc4, value.length), value]);
  const start = value.length < 16 ? Buffer.from([0x90 | value.length]) : head(0xdb, value.length, 1);
  return Buffer.concat([start, ...value.map(pack)]);
}

function head(first, length, at = length < 0x100 ? 0 : length < 0x10000 ? 1 : 2) {
  const bytes = Buffer.alloc(1 + 2 ** at);
  bytes[0] = first + at;
  bytes.writeUIntBE(length, 1, 2 ** at);
  return bytes;
}

class Broken extends Error {}

function unpack(body) {
  let at = 0;
  const take = (count) => {
    if (at + count > body.length) throw new Broken("cut off");
    return body.subarray(at, (at += count));
  };
  const uint = (count) => (count === 8 ? Number(take(8).readBigUInt64BE()) : take(count).readUIntBE(0, count));
  const int = (count) => (count === 8 ? Number(take(8).readBigInt64BE()) : take(count).readIntBE(0, count));
  const number = (n) => {
    if (n < 0 || n > Number.MAX_SAFE_INTEGER) throw new Broken("no number of the profile");
    return n;
  };
  const text = (count) => new TextDecoder("utf-8", { fatal: true }).decode(take(count));
  const array = (count, depth) => {
    if (depth > 8 || count > body.length - at || count > 1000) throw new Broken("no array of the profile");
    return Array.from({ length: count }, (_, i) => read(depth + 1, depth === 1 && i > 0 && i === count - 1));
  };
  const map = (count, allowed) => {
    if (!allowed || 2 * count > body.length - at) throw new Broken("a map in the wrong place");
    const pairs = new Map();
    for (let i = 0; i < count; i++) {
      const key = read(3, false);
      if (typeof key !== "number" || pairs.has(key)) throw new Broken("bad key");
      pairs.set(key, read(3, false));
    }
    return pairs;
  };
  const read = (depth, mapAllowed) => {
    const t = take(1)[0];
    if (t < 0x80) return t;
    if (t < 0x90) return map(t - 0x80, mapAllowed);
    if (t < 0xa0) return array(t - 0x90, depth);
    if (t < 0xc0) return text(t - 0xa0);
    if (t === 0xc0) return null;
    if (t === 0xc2 || t === 0xc3) return t === 0xc3;
    if (t >= 0xc4 && t <= 0xc6) return Buffer.from(take(uint(2 ** (t - 0xc4))));
    if (t >= 0xcc && t <= 0xcf) return number(uint(2 ** (t - 0xcc)));
    if (t >= 0xd0 && t <= 0xd3) return number(int(2 ** (t - 0xd0)));
    if (t >= 0xd9 && t <= 0xdb) return text(uint(2 ** (t - 0xd9)));
    if (t === 0xdc || t === 0xdd) return array(uint(t === 0xdc ? 2 : 4), depth);
    if (t === 0xde || t === 0xdf) return map(uint(t === 0xde ? 2 : 4), mapAllowed);
    throw new Broken("no type of the profile");
  };
  const items = read(1, false);
  if (at !== body.length || !Array.isArray(items) || !items.length) throw new Broken("no frame");
  const extras = items.at(-1) instanceof Map ? items.pop() : new Map();
  return { items, critical: [...extras.keys()].some((key) => key % 2 === 0) };
}

// --- fields: u number, s text, x bytes, b boolean, a array, c content; a small letter is required, a large one optional

const TYPES = {
  u: (v) => typeof v === "number", s: (v) => typeof v === "string", x: Buffer.isBuffer, b: (v) => typeof v === "boolean",
  a: Array.isArray, c: (v) => Array.isArray(v) && typeof v[0] === "number" && (typeof v[1] === "string" || Buffer.isBuffer(v[1])),
};

function fields(items, spec) {
  return [...spec].map((letter, i) => {
    const value = items[i] ?? null;
    const optional = letter !== letter.toLowerCase();
    if (value === null ? !optional : !TYPES[letter.toLowerCase()](value)) throw new Broken(`field ${i} is wrong`);
    return value;
  });
}

// --- what is durable (12.3)

const fresh = () => ({ device: null, resume: null, token: null, logs: {}, blocks: {}, outbox: [], reading: {}, account: null });
const revive = (_, value) => (value && typeof value === "object" && "hex" in value ? Buffer.from(value.hex, "hex") : value);
const state = fs.existsSync(FILE) ? JSON.parse(fs.readFileSync(FILE, "utf8"), revive) : fresh();
let dirty = false;

function commit() {
  if (!dirty) return;
  const text = JSON.stringify(state, function (key) {
    return Buffer.isBuffer(this[key]) ? { hex: this[key].toString("hex") } : this[key];
  });
  const file = fs.openSync(FILE + ".new", "w");
  fs.writeSync(file, text);
  fs.fsyncSync(file);
  fs.closeSync(file);
  fs.renameSync(FILE + ".new", FILE);
  dirty = false;
}

function logOf(conv) {
  dirty = true;
  return (state.logs[conv] ??= {
    conv, pos: 0, want: 0, catch: false, rpos: 0, rwant: 0, records: {}, marks: {}, ended: false, endedAt: 0, hidden: [],
  });
}

// --- the fold (9.2)

const CHANGING = new Set([EDIT, DELETE, REACT, PIN, UNPIN]);

function fold(log, e) {
  if (!CHANGING.has(e.kind)) {
    if (e.seq in log.records || log.hidden.includes(e.seq)) return;
    log.records[e.seq] = { ...e, rev: e.seq, content: KINDS.has(e.kind) ? e.content : null, reactions: {}, edited: null, pinned: null };
    return arrived(log, log.records[e.seq]);
  }
  const r = log.records[e.ref];
  if (!r || e.seq <= r.rev) return;
  r.rev = e.seq;
  if (!r.content) return;
  if (e.kind === DELETE || (e.kind === EDIT && !e.content)) {
    Object.assign(r, { content: null, users: null, edited: null, origin: null, pinned: null, reactions: {} });
  } else if (e.kind === EDIT) Object.assign(r, { content: e.content, users: e.users, edited: e.ts, origin: null });
  else if (e.kind === REACT && e.content) r.reactions[e.sender] = e.content[1];
  else if (e.kind === REACT) delete r.reactions[e.sender];
  else r.pinned = e.kind === PIN ? e.seq : null;
}

function upsert(log, r) {
  if (log.hidden.includes(r.seq) || (log.records[r.seq] && r.rev <= log.records[r.seq].rev)) return;
  const isNew = !(r.seq in log.records);
  log.records[r.seq] = KINDS.has(r.kind) ? r : { ...r, content: null };
  if (isNew) arrived(log, r);
}

function arrived(log, r) {
  if ([CREATE, ADD, REMOVE].includes(r.kind) && r.users?.includes(me)) member(log, r.seq, r.kind === REMOVE);
  if (log.conv !== state.account) return;
  if (r.kind === HIDE && r.content?.[0] === 12 && Buffer.isBuffer(r.content[1])) {
    let hidden;
    try { hidden = fields(unpack(r.content[1]).items, "ua"); } catch { return; }
    const other = logOf(hidden[0]);
    for (const seq of hidden[1]) { other.hidden.push(seq); delete other.records[seq]; }
  } else if (r.kind === BLOCK || r.kind === UNBLOCK) {
    const user = r.users?.[0];
    if (r.seq > (state.blocks[user]?.[0] ?? 0)) state.blocks[user] = [r.seq, r.kind === BLOCK];
  }
}

function member(log, seq, ended) {
  if (seq >= log.endedAt) Object.assign(log, { endedAt: seq, ended });
}

function merge(log, user, delivered, read) {
  const [d, r] = log.marks[user] ?? [0, 0];
  log.marks[user] = [Math.max(d, delivered), Math.max(r, read)];
}

function entryOf(items) {
  const [conv, seq, ts, sender, kind, content, ref, users, , origin] = fields(items, "uuuuuCUAXAU");
  return { conv, seq, ts, sender, kind, content, ref, users, origin };
}

function recordOf(items) {
  const [seq, rev, ts, sender, kind, content, ref, users, edited, reactions, , origin, , pinned] = fields(items, "uuuuuCUAUAXAUU");
  const by = Object.fromEntries((reactions ?? []).map((each) => fields(each, "us")));
  return { seq, rev, ts, sender, kind, content, ref, users, edited, reactions: by, origin, pinned };
}

// --- one connection

let me = null, link = null, attempts = 0, stopped = false, watched = null;
const online = new Set(), typing = new Map();

class Link {
  constructor() {
    const url = new URL(WIRECHAT_URL.replace(/^wirechat:/, "http:"));
    Object.assign(this, { data: Buffer.alloc(0), asked: new Map(), waiting: [], rid: 0, live: false, synced: false, mode: null });
    Object.assign(this, { received: 0, acked: 0, top: new Map(), moved: new Set(), start: {}, goaway: null, retry: 0, asking: new Set() });
    Object.assign(this, { limits: { inflight: 1, heartbeat: 30000 }, lastSent: 0, pinged: null, denied: {}, timers: [], over: false, began: Date.now() });
    this.socket = net.connect(Number(url.port), url.hostname);
    this.socket.setNoDelay(true);
    this.socket.on("data", (chunk) => this.heard(chunk));
    this.socket.on("error", () => {});
    this.socket.on("close", () => this.end());
    this.socket.on("connect", () => this.post([1, "WC", 1, 1, [11, 12], "node-example/1", WINDOW === 64 ? null : WINDOW]));
  }

  later(ms, action) {
    const timer = setTimeout(() => { if (!this.over) { action(); this.settle(); } }, ms);
    this.timers.push(timer);
  }

  post(items) {
    if (this.over) return;
    while (items.length && (items.at(-1) === null || items.at(-1) === undefined)) items.pop();
    const body = pack(items), length = Buffer.alloc(4);
    length.writeUInt32BE(body.length);
    this.socket.write(Buffer.concat([length, body]));
    this.lastSent = Date.now();
  }

  ask(code, items, done) {
    this.waiting.push({ code, items, done });
    this.flush();
  }

  flush() {
    while (this.waiting.length && this.asked.size < this.limits.inflight && !this.goaway) {
      const { code, items, done } = this.waiting.shift();
      this.rid = (this.rid % 2 ** 31) + 1;
      this.asked.set(this.rid, { code, done });
      this.post([code, this.rid, ...items]);
    }
  }

  heard(chunk) {
    this.pinged = null;
    this.lastHeard = Date.now();
    this.data = Buffer.concat([this.data, chunk]);
    try {
      while (!this.over && this.data.length >= 4) {
        const length = this.data.readUInt32BE(0);
        if (length === 0 || length > SERVER_FRAME_BYTES) throw new Broken("no frame");
        if (this.data.length < 4 + length) break;
        const body = this.data.subarray(4, 4 + length);
        this.data = this.data.subarray(4 + length);
        this.frame(unpack(body));
      }
    } catch (error) {
      commit();
      if (!(error instanceof Broken) && !(error instanceof TypeError)) throw error;
      return this.close();
    }
    this.settle();
  }

  frame({ items, critical }) {
    const code = items[0];
    if (typeof code !== "number" || code === 0 || code > 65535) throw new Broken("no code");
    const offset = code >= 256 ? code % 64 : null;
    const counted = offset === null ? code >= 16 && code < 32 : offset >= 32 && offset < 48;
    const control = code < 16;
    const reply = this.asked.get(items[1]);
    if (code === 7 && items[1] !== null) return this.error(...fields(items.slice(1), "uuU"));
    if (code >= 48 && code < 256) {
      if (!reply || code !== reply.code + 1) return;
      this.asked.delete(items[1]);
      this.answer(reply, critical ? { code: 3005 } : null, items.slice(2));
      return this.flush();
    }
    const handler = { 2: "welcome", 3: "ping", 4: "pong", 6: "leave", 7: "fatal", 16: "event", 17: "receipt", 18: "rows", 32: "typing", 33: "presence" }[code];
    if (!handler) {
      if (control) throw new Broken("an unknown control frame");
      if (counted) { this.before(); this.received += 1; }
      return;
    }
    if (critical) throw new Broken("an even extra");
    if (counted) { this.before(); this.received += 1; }
    this[`on_${handler}`](items.slice(1));
  }

  before() {
    if (!this.live) throw new Broken("a push before the digest");
  }

  answer({ done }, error, items) {
    try {
      done(error, items);
    } catch (wrong) {
      if (!(wrong instanceof Broken)) throw wrong;
      done({ code: 3000 }, null);
    }
  }

  error(rid, code, retry) {
    const asked = this.asked.get(rid);
    if (!asked) return;
    if (code === 2000 || code === 2003) return this.on_fatal([null, code, retry]);
    this.asked.delete(rid);
    this.answer(asked, { code, retry: retry ?? 0 }, null);
    this.flush();
  }

  on_fatal([, code, retry]) {
    this.retry = retry ?? 0;
    if (code === 2003) { Object.assign(state, { device: null, resume: null }); dirty = true; }
    if (FINAL.has(code)) stopped = true;
    commit();
    this.close();
  }

  close() {
    this.socket.destroy();
    this.end();
  }

  end() {
    if (this.over) return;
    this.over = true;
    this.timers.forEach(clearTimeout);
    online.clear();
    typing.forEach(clearTimeout);
    typing.clear();
    for (const entry of state.outbox) { entry.sent = false; }
    if (stopped) return;
    if (this.live && Date.now() - this.began > 60000) attempts = 0;
    const ceiling = Math.min(60000, 500 * 2 ** attempts++);
    const wait = this.goaway ? Math.max(0, this.goaway - Date.now()) : this.retry + Math.random() * ceiling;
    setTimeout(() => { link = new Link(); }, wait);
  }

  on_ping([t]) { this.post([4, ...fields([t], "u")]); }
  on_pong(items) {
    const [, , token] = fields(items, "uUX");
    if (token && this.synced) { state.token = token; dirty = true; }
  }

  on_leave(items) {
    const [, after, jitter] = fields(items, "uuu");
    this.goaway = Date.now() + after + Math.random() * jitter;
  }

  // logging in (8.2)

  on_welcome(items) {
    const [, , , , nonce, limits, methods, bindings] = fields(items, "uasuxaaa");
    this.limits = { inflight: limits[2], heartbeat: limits[3] };
    setTimeout(() => this.beat(), 50);
    const ways = [];
    if (state.resume && methods.includes(4)) ways.push([4, null, state.resume]);
    const device = state.device ?? (WIRECHAT_DEVICE ? Number(WIRECHAT_DEVICE) : null);
    if (WIRECHAT_KEY && device !== null && methods.includes(3) && bindings.includes(0)) ways.push([3, null, sign(nonce, device), device]);
    if (WIRECHAT_PASSWORD && methods.includes(1)) ways.push([1, WIRECHAT_HANDLE, Buffer.from(WIRECHAT_PASSWORD), device]);
    this.login(ways);
  }

  login([way, ...others]) {
    if (!way) { stopped = true; return this.close(); }
    this.ask(48, way, (error, items) => {
      if (error && (error.code === 2002 || (error.code === 2001 && way[0] !== 1)) && others.length) return this.login(others);
      if (error) return this.on_fatal([null, error.code, error.retry]);
      const [user, device, resume] = fields(items, "uux");
      Object.assign(state, { device, resume });
      dirty = true;
      me = user;
      commit();
      for (const log of Object.values(state.logs)) this.start[log.conv] = log.pos;
      this.ask(52, [state.token], (failure, page) => this.digest(failure, page));
    });
  }

  beat() {
    if (this.over) return;
    const now = Date.now(), heartbeat = this.limits.heartbeat;
    if (this.pinged !== null && now - this.pinged >= heartbeat) return this.close();
    if (me !== null && this.pinged === null && (now - this.lastSent >= 0.8 * heartbeat || now - this.lastHeard >= heartbeat)) {
      this.pinged = now;
      this.post([3, 0]);
    }
    setTimeout(() => this.beat(), Math.min(1000, heartbeat / 10));
  }

  // resuming (12.5)

  digest(error, items) {
    if (error) return error.code < 5000 ? this.close() : this.later(error.retry || 500, () => this.ask(52, [state.token], (e, p) => this.digest(e, p)));
    const [mode, rows, cursor, token] = fields(items, "uaXX");
    if (this.mode === null) {
      this.mode = mode;
      if (mode !== 1) this.reset();
    }
    for (const each of rows) this.row(each);
    this.started = true;
    if (cursor) return this.ask(52, [null, null, cursor], (failure, page) => this.digest(failure, page));
    if (token) { state.token = token; dirty = true; }
    this.live = this.synced = true;
    for (const log of Object.values(state.logs)) if (log.conv !== state.account && !log.catch && log.pos > (log.marks[me]?.[0] ?? 0)) this.moved.add(log.conv);
    if (watched) this.watch();
    for (const [conv, seq] of Object.entries(state.reading)) this.mark(Number(conv), seq);
  }

  reset() {
    const known = state.token !== null || Object.keys(state.logs).length > 0;
    Object.assign(state, { token: null, logs: {}, blocks: {}, account: null });
    this.start = {};
    dirty = true;
    if (!known) return;
    for (const entry of state.outbox.filter((each) => each.ref !== null)) done(entry, { failed: entry.id, code: null, text: entry.content?.[1] });
    state.reading = {};
  }

  row(items) {
    const [conv, head, rrev, delivered, read, status, account] = fields(items, "uuuuuUB");
    if (this.mode === 1 && !status && head < (this.start[conv] ?? 0)) {
      state.token = null;
      dirty = true;
      throw new Broken("the server lost entries");
    }
    if (account) this.isAccount(conv);
    const log = logOf(conv);
    log.want = Math.max(log.want, head);
    log.rwant = Math.max(log.rwant, rrev);
    merge(log, me, delivered, read);
    member(log, head, Boolean(status));
    delete this.denied[conv];
  }

  isAccount(conv) {
    if (state.account === conv) return;
    state.account = conv;
    dirty = true;
  }

  on_rows(items) {
    const [rows, token] = fields(items, "aX");
    for (const each of rows) this.row(each);
    if (token) { state.token = token; dirty = true; }
  }

  on_event(items) {
    const e = entryOf(items);
    if (e.kind >= 14 && e.kind <= 18) this.isAccount(e.conv);
    this.top.set(e.conv, Math.max(e.seq, this.top.get(e.conv) ?? 0));
    if (e.kind === MSG) stopTyping(e.conv, e.sender);
    this.entry(e);
  }

  entry(e) {
    const log = logOf(e.conv);
    delete this.denied[e.conv];
    if (e.seq === log.pos + 1 && !log.catch) { fold(log, e); log.pos = e.seq; }
    log.want = Math.max(log.want, e.seq);
  }

  on_receipt(items) {
    const [conv, after, upto, marks] = fields(items, "uuua");
    const log = logOf(conv);
    if (after > log.rpos) { log.rwant = Math.max(log.rwant, upto); return; }
    for (const each of marks) merge(log, ...fields(each, "uuu"));
    log.rpos = Math.max(log.rpos, upto);
  }

  on_presence(items) {
    for (const each of fields(items, "a")[0]) { const [user, on] = fields(each, "ub"); on ? online.add(user) : online.delete(user); }
  }

  on_typing(items) {
    const [conv, on, user] = fields(items, "ubU");
    stopTyping(conv, user);
    if (on && user !== null) typing.set(`${conv} ${user}`, setTimeout(() => stopTyping(conv, user), 6000));
  }

  settle() {
    if (this.over) return;
    commit();
    if (this.live) {
      for (const log of Object.values(state.logs)) this.fill(log);
      this.pump();
      if (this.received - this.acked >= WINDOW / 2) this.ack();
      else if (this.received > this.acked || this.moved.size) this.ackSoon ??= setTimeout(() => { this.ackSoon = null; if (!this.over) this.ack(); }, 700);
    }
    if (this.goaway && !this.asked.size) {
      if (this.live) this.ack();
      this.goaway && this.socket.end(() => this.close());
    }
  }

  fill(log) {
    const lacks = (log.want > log.pos || log.catch) && this.denied[log.conv] !== "changes";
    if (lacks && !this.asking.has(log.conv)) {
      const since = log.pos, told = log.want;
      this.asking.add(log.conv);
      this.ask(60, [log.conv, since], (error, items) => {
        const again = () => this.asking.delete(log.conv);
        if (error?.code === 4002) { again(); delete state.logs[log.conv]; dirty = true; return; }
        if (error && error.code < 5000) { again(); this.denied[log.conv] = "changes"; return; }
        if (error) return this.later(error.retry || 500, again);
        const [upto, records, more] = fields(items, "uab");
        const parsed = records.map(recordOf);
        dirty = true;
        for (const each of parsed) upsert(log, each);
        if (since <= log.pos && log.pos <= upto) {
          Object.assign(log, { pos: upto, want: Math.max(log.want, upto), catch: more });
          this.moved.add(log.conv);
        }
        if (!more && upto < told) return this.later(1000, again);
        again();
      });
    }
    if (log.rwant > log.rpos && !this.asking.has(`marks ${log.conv}`)) {
      const since = log.rpos;
      this.asking.add(`marks ${log.conv}`);
      this.ask(62, [log.conv, since], (error, items) => {
        const again = () => this.asking.delete(`marks ${log.conv}`);
        if (error) return error.code < 5000 ? undefined : this.later(error.retry || 500, again);
        const [upto, marks, more] = fields(items, "uab");
        dirty = true;
        for (const each of marks) merge(log, ...fields(each, "uuu"));
        if (since <= log.rpos) log.rpos = Math.max(log.rpos, upto);
        if (!more && upto <= since) log.rwant = log.rpos;
        again();
      });
    }
  }

  ack() {
    commit();
    const held = [];
    for (const conv of new Set([...this.top.keys(), ...this.moved])) {
      const log = state.logs[conv];
      if (conv === state.account) continue;
      const have = log && !log.catch ? log.pos : 0;
      if (this.top.has(conv) ? have !== this.top.get(conv) : have > 0) held.push([conv, have]);
    }
    for (let at = 0; at === 0 || at < held.length; at += 256) this.post([5, this.received, held.length ? held.slice(at, at + 256) : null]);
    this.acked = this.received;
    this.top.clear();
    this.moved.clear();
  }

  // sending (11.5): one entry of a conversation at a time

  pump() {
    const busy = new Set();
    for (const entry of state.outbox) {
      if (busy.has(entry.conv)) continue;
      busy.add(entry.conv);
      if (entry.sent) continue;
      if (Date.now() < (entry.after ?? 0)) { this.wake(entry.after); continue; }
      entry.sent = true;
      this.ask(54, [entry.conv, entry.cid, entry.kind, entry.content, entry.ref], (error, items) => this.sent(entry, error, items));
    }
  }

  wake(at) {
    if (this.wakeAt && this.wakeAt <= at) return;
    this.wakeAt = at;
    this.later(at - Date.now() + 5, () => { this.wakeAt = null; });
  }

  sent(entry, error, items) {
    if (error && (error.code < 3000 || error.code >= 5000)) {
      entry.failures = (entry.failures ?? 0) + 1;
      const wait = error.retry + Math.random() * Math.min(60000, 200 * 2 ** entry.failures);
      entry.after = Date.now() + wait;
      entry.sent = false;
      return;
    }
    if (error) return done(entry, { failed: entry.id, code: error.code });
    const [seq, ts] = fields(items, "uu");
    this.entry({ conv: entry.conv, seq, ts, sender: me, kind: entry.kind, content: entry.content, ref: entry.ref, users: null, origin: null });
    done(entry, { sent: entry.id, seq });
  }

  mark(conv, seq) {
    this.ask(56, [conv, seq], (error) => {
      if (error && error.code >= 5000) return this.later(error.retry || 500, () => this.mark(conv, seq));
      if (state.reading[conv] === seq) { delete state.reading[conv]; dirty = true; }
    });
  }

  watch() {
    this.ask(90, [watched], (error, items) => { if (!error) this.on_presence(items); });
  }
}

function sign(nonce, device) {
  const id = Buffer.alloc(8);
  id.writeBigUInt64BE(BigInt(device));
  const key = Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), Buffer.from(WIRECHAT_KEY, "hex")]);
  const signed = Buffer.concat([Buffer.from("wirechat-auth-1\0"), nonce, id, Buffer.from([0])]);
  return crypto.sign(null, signed, crypto.createPrivateKey({ key, format: "der", type: "pkcs8" }));
}

function done(entry, line) {
  state.outbox.splice(state.outbox.indexOf(entry), 1);
  dirty = true;
  commit();
  say(line);
}

function stopTyping(conv, user) {
  clearTimeout(typing.get(`${conv} ${user}`));
  typing.delete(`${conv} ${user}`);
}

// --- the driver

const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");

function write(id, conv, kind, content, ref) {
  state.outbox.push({ id, conv, cid: crypto.randomBytes(8), kind, content, ref: ref ?? null });
  dirty = true;
  commit();
  setImmediate(() => link.settle());
}

const COMMANDS = {
  send: ({ id, conv, text, reply }) => write(id, conv, MSG, [1, text], reply),
  edit: ({ id, conv, seq, text }) => write(id, conv, EDIT, [1, text], seq),
  delete: ({ id, conv, seq }) => write(id, conv, DELETE, null, seq),
  react: ({ id, conv, seq, emoji }) => write(id, conv, REACT, emoji === null ? null : [2, emoji], seq),
  read({ conv, seq }) {
    state.reading[conv] = Math.max(seq, state.reading[conv] ?? 0);
    dirty = true;
    commit();
    if (link.live) link.mark(conv, seq);
  },
  watch({ users }) {
    watched = users;
    if (link.live) link.watch();
  },
  list: () => ({
    conversations: Object.keys(state.logs).map(Number).filter((conv) => conv !== state.account),
    online: [...online].sort(),
    blocked: Object.keys(state.blocks).filter((user) => state.blocks[user][1]).map(Number),
  }),
  show({ conv }) {
    const log = state.logs[conv];
    if (!log) return { messages: null };
    const here = [...typing.keys()].map((key) => key.split(" ").map(Number)).filter(([where]) => where === conv);
    return { messages: Object.values(log.records).map(shown), receipts: log.marks, typing: here.map(([, user]) => user) };
  },
};

function shown(r) {
  const text = r.kind === MSG && r.content?.[0] === 1 ? r.content[1] : null;
  return {
    seq: r.seq, kind: r.kind, sender: r.sender, text, edited: r.edited !== null, reply: r.ref, mentions: r.users ?? [],
    reactions: r.reactions, pinned: r.pinned !== null, forwarded: r.origin?.[0] ?? null,
  };
}

for (const entry of state.outbox) entry.sent = false;
readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const command = JSON.parse(line);
  const action = COMMANDS[command.do];
  say({ id: command.id, ...(action ? action(command) : { error: "unknown" }) });
});
link = new Link();
