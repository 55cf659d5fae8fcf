// Both ends of a WebSocket with nothing but node's http and its "upgrade" event.
//
//   node websocket_node.js serve          prints its port; sends every message back, upper case
//   node websocket_node.js ask URL        prints what it heard, as JSON
"use strict";
const http = require("http"), crypto = require("crypto");

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const accept = (key) => crypto.createHash("sha1").update(key + GUID).digest("base64");

function frame(opcode, payload, isMasked) {
    const head = payload.length < 126 ? Buffer.from([0x80 | opcode, payload.length])
        : Buffer.from([0x80 | opcode, 126, payload.length >> 8, payload.length & 255]);
    if (!isMasked)
        return Buffer.concat([head, payload]);
    head[1] |= 0x80;
    const mask = crypto.randomBytes(4);
    return Buffer.concat([head, mask, payload.map((byte, i) => byte ^ mask[i % 4])]);
}

/* Calls take(opcode, payload) for each frame that comes. */
function read(socket, early, take) {
    let bytes = early;
    const look = () => {
        for (;;) {
            if (bytes.length < 2) return;
            const short = bytes[1] & 127, isMasked = bytes[1] & 128;
            let at = short === 126 ? 4 : 2;
            if (bytes.length < at + (isMasked ? 4 : 0)) return;
            const size = short === 126 ? bytes.readUInt16BE(2) : short;
            const mask = isMasked ? bytes.subarray(at, at + 4) : [0, 0, 0, 0];
            at += isMasked ? 4 : 0;
            if (bytes.length < at + size) return;
            const payload = Buffer.from(bytes.subarray(at, at + size)).map((byte, i) => byte ^ mask[i % 4]);
            const opcode = bytes[0] & 15;
            bytes = bytes.subarray(at + size);
            take(opcode, payload);
        }
    };
    socket.on("data", (data) => { bytes = Buffer.concat([bytes, data]); look(); });
    look();
}

function serve() {
    const server = http.createServer((request, response) => response.writeHead(426).end());
    server.on("upgrade", (request, socket, early) => {
        socket.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
            `Sec-WebSocket-Accept: ${accept(request.headers["sec-websocket-key"])}\r\n\r\n`);
        read(socket, early, (opcode, payload) => {
            if (opcode === 8)
                socket.end(frame(8, payload));
            else
                socket.write(frame(opcode, opcode === 9 ? payload : Buffer.from(payload.toString().toUpperCase())));
        });
        socket.on("error", () => {});
    });
    server.listen(0, "127.0.0.1", () => console.log(server.address().port));
}

function ask(url) {
    const key = crypto.randomBytes(16).toString("base64"), heard = [];
    const request = http.get(url, {headers: {Connection: "Upgrade", Upgrade: "websocket",
        "Sec-WebSocket-Version": 13, "Sec-WebSocket-Key": key}});
    request.on("upgrade", (response, socket, early) => {
        const isRight = response.headers["sec-websocket-accept"] === accept(key);
        read(socket, early, (opcode, payload) => {
            heard.push(opcode === 8 ? payload.readUInt16BE(0) : payload.toString().slice(0, 20) + payload.length);
            if (heard.length === 3)
                socket.write(frame(8, Buffer.from([0x03, 0xe8]), true));
        });
        socket.on("end", () => socket.end());
        socket.on("close", () => console.log(JSON.stringify({status: response.statusCode, isRight, heard})));
        for (const text of ["hello", "x".repeat(300), "y".repeat(60000)])
            socket.write(frame(1, Buffer.from(text), true));
    });
}

if (process.argv[2] === "serve") serve(); else ask(process.argv[3]);
