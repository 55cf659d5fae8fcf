// A service of node's own HTTP/2 that takes WebSockets (RFC 8441) and sends messages back; prints its port.
"use strict";
const http2 = require("http2");
const {Buffer} = require("buffer");

const server = http2.createServer({settings: {enableConnectProtocol: true}});
server.on("stream", (stream, headers) => {
    if (headers[":protocol"] !== "websocket") {
        stream.respond({":status": 200});
        stream.end("plain");
        return;
    }
    stream.respond({":status": 200});
    let heard = Buffer.alloc(0);
    stream.on("error", () => {});
    stream.on("data", part => {
        heard = Buffer.concat([heard, part]);
        while (heard.length >= 6 && heard.length >= 6 + (heard[1] & 127)) {
            const size = heard[1] & 127, mask = heard.subarray(2, 6);
            const plain = Buffer.from(heard.subarray(6, 6 + size).map((byte, i) => byte ^ mask[i % 4]));
            const first = heard[0];
            heard = heard.subarray(6 + size);
            stream.write(Buffer.concat([Buffer.from([first, size]), plain]));
            if (first === 0x88)
                stream.end();
        }
    });
});
server.listen(0, "127.0.0.1", () => process.stdout.write(`${server.address().port}\n`));
