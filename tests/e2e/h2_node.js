// Node's own client of HTTP/2 against the gateway whose address is the argument; prints what it found as JSON.
"use strict";
const http2 = require("http2");
const {Buffer} = require("buffer");

const session = http2.connect(process.argv[2]);
const found = {};

function ask(headers, body) {
    return new Promise((done, fail) => {
        const stream = session.request(headers, {endStream: body === undefined});
        const answer = {parts: [], trailers: {}};
        stream.on("response", fields => { answer.status = fields[":status"]; });
        stream.on("data", part => answer.parts.push(part));
        stream.on("trailers", fields => { answer.trailers = {...fields}; });
        stream.on("error", fail);
        stream.on("close", () => done({...answer, body: Buffer.concat(answer.parts), code: stream.rstCode}));
        if (body !== undefined)
            stream.end(body);
    });
}

function masked(opcode, payload) {
    const mask = [1, 2, 3, 4];
    return Buffer.from([0x80 | opcode, 0x80 | payload.length, ...mask, ...payload.map((byte, i) => byte ^ mask[i % 4])]);
}

function converse() {
    return new Promise((done, fail) => {
        const stream = session.request({":method": "CONNECT", ":protocol": "websocket", ":path": "/chat",
            "sec-websocket-version": "13"}, {endStream: false});
        let heard = Buffer.alloc(0), status;
        stream.on("response", fields => { status = fields[":status"]; stream.write(masked(1, Buffer.from("from node"))); });
        stream.on("data", part => {
            heard = Buffer.concat([heard, part]);
            if (heard.length === 11)
                stream.write(masked(8, Buffer.from([3, 232])));
            else if (heard.length === 15)
                stream.end();
        });
        stream.on("error", fail);
        stream.on("close", () => done({status, text: heard.subarray(2, 11).toString(), code: stream.rstCode}));
    });
}

async function run() {
    await new Promise(done => session.once("remoteSettings", done));
    found.connect = session.remoteSettings.enableConnectProtocol;
    found.ping = await new Promise((done, fail) => session.ping((e, took, payload) => e ? fail(e) : done(payload.length)));
    const large = Buffer.alloc(500000, "n");
    const answers = await Promise.all([...Array(100).keys()].map(i => ask({":path": `/page?${i}`})));
    found.pages = answers.every((answer, i) => answer.status === 200 && answer.body.toString() === String(i));
    const echo = await ask({":path": "/echo", ":method": "POST"}, large);
    found.echo = echo.status === 200 && echo.body.equals(large);
    found.trailers = (await ask({":path": "/trailers"})).trailers["x-sum"];
    found.head = (await ask({":path": "/page?1", ":method": "HEAD"})).body.length;
    found.missing = (await ask({":path": "/none"})).status;
    found.chat = await converse();
    const given_up = session.request({":path": "/silent"});
    given_up.on("error", () => {});
    setTimeout(() => given_up.close(http2.constants.NGHTTP2_CANCEL), 100);
    await new Promise(done => given_up.once("close", done));
    found.after = (await ask({":path": "/page?after"})).body.toString();
    session.close();
    await new Promise(done => session.once("close", done));
    process.stdout.write(JSON.stringify(found));
}

run().catch(e => { process.stderr.write(`${e.stack}\n`); process.exit(1); });
