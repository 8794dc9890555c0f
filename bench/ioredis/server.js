// A gateway as one writes it with node and ioredis: each request subscribes to a channel of its own over the one
// connection that the process has for that, and the callback, wherever it lands, is published to the channel. It verifies
// nothing and logs nothing.
//
//	node server.js LISTEN ENGINE REDIS        host:port each
"use strict";

const crypto = require("node:crypto");
const http = require("node:http");
const Redis = require("ioredis");

const timeout = 5 * 60 * 1000;
const [listen, engine, redis] = process.argv.slice(2).map((address) => {
  const [host, port] = address.split(":");
  return { host, port: Number(port) };
});

const waiting = new Map(); // resolve by channel
const publisher = new Redis(redis);
const subscriber = new Redis(redis);
subscriber.on("message", (channel, message) => waiting.get(channel)?.(message));

const agent = new http.Agent({ keepAlive: true });

async function read(stream) {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts).toString();
}

function forward(path, text) {
  return new Promise((resolve, reject) => {
    const headers = { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(text) };
    const request = http.request({ ...engine, path, agent, method: "POST", headers }, async (response) => {
      await read(response);
      response.statusCode === 200 ? resolve() : reject(new Error("the engine answers " + response.statusCode));
    });
    request.on("error", reject);
    request.end(text);
  });
}

async function create(request, response) {
  const body = JSON.parse(await read(request));
  const channel = crypto.randomUUID();
  const arrived = new Promise((resolve) => waiting.set(channel, resolve));
  let timer;
  try {
    await subscriber.subscribe(channel);
    for (const op of body.ops) {
      op.data.__callback_url = `http://${listen.host}:${listen.port}/callback/${channel}`;
    }
    await forward(request.url, JSON.stringify(body));
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error("too late")), timeout);
    });
    const message = await Promise.race([arrived, late]);
    response.writeHead(200, { "Content-Type": "application/json" }).end(message);
  } finally {
    clearTimeout(timer);
    waiting.delete(channel);
    await subscriber.unsubscribe(channel);
  }
}

async function callback(request, response) {
  await publisher.publish(request.url.slice("/callback/".length), await read(request));
  response.writeHead(200, { "Content-Type": "application/json" }).end("{}");
}

const server = http.createServer((request, response) => {
  let done;
  if (request.url.startsWith("/api/")) done = create(request, response);
  else if (request.url.startsWith("/callback/")) done = callback(request, response);
  else return response.writeHead(404).end();
  done.catch((error) => response.headersSent || response.writeHead(502).end(String(error)));
});
server.requestTimeout = 0;
server.keepAliveTimeout = 75_000;
server.listen({ ...listen, backlog: 4096 });
