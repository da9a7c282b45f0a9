"""The stand-in's checks before another emulator's store: signatures, tokens, permissions and multipart uploads are the stand-in's, which no emulator has; what is stored, listed,
read in ranges and removed is the emulator's, by its JSON API."""
import base64
import calendar
import contextlib
import http.client
import json
import os
import time
import urllib.parse

import standin


def quoted(name):
    return urllib.parse.quote(name, safe="")


class Front(standin.Handler):
    upstream = None  # host:port

    @contextlib.contextmanager
    def ask(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection(self.upstream, timeout=60)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            yield connection.getresponse()
        finally:
            connection.close()

    def made(self, o):
        """An object as the emulator describes it."""
        headers = {"Content-Type": o.get("contentType") or "application/octet-stream", "Content-Encoding": o.get("contentEncoding") or None, "Cache-Control": o.get("cacheControl") or None}
        stamp = (o.get("updated") or o["timeCreated"])[:19]
        crc, md5 = int.from_bytes(base64.b64decode(o["crc32c"]), "big"), base64.b64decode(o.get("md5Hash") or "").hex()
        made = standin.Object(None, int(o["size"]), crc, md5, headers, int(o["generation"]), calendar.timegm(time.strptime(stamp, "%Y-%m-%dT%H:%M:%S")))
        made.where = "/storage/v1/b/%s/o/%s" % (o["bucket"], quoted(o["name"]))
        return made

    def lookup(self, bucket, name):
        with self.ask("GET", "/storage/v1/b/%s/o/%s" % (bucket, quoted(name))) as got:
            if got.status == 404:
                return None
            assert got.status == 200, got.status
            return self.made(json.loads(got.read()))

    def listing(self, bucket, prefix):
        found, token = [], ""
        while True:
            with self.ask("GET", "/storage/v1/b/%s/o?prefix=%s&maxResults=1000%s" % (bucket, quoted(prefix), "&pageToken=" + quoted(token) if token else "")) as got:
                page = json.loads(got.read())
            found += [(o["name"], self.made(o)) for o in page.get("items", [])]
            token = page.get("nextPageToken")
            if not token:
                return sorted(found, key=lambda pair: pair[0])

    @contextlib.contextmanager
    def opened(self, o, begin):
        if begin >= o.size:
            yield open(os.devnull, "rb")
            return
        with self.ask("GET", o.where + "?alt=media", headers={"Range": "bytes=%d-%d" % (begin, o.size - 1)} if begin else {}) as got:
            assert got.status in (200, 206), got.status
            if got.status == 200 and begin:
                got.read(begin)
            yield got

    def replace(self, bucket, name, o):
        mark = "tallyd-" + os.urandom(12).hex()
        about = {"name": name, "contentType": o.type, "cacheControl": o.cache, "contentEncoding": o.encoding}
        head = ("--%s\r\nContent-Type: application/json\r\n\r\n%s\r\n--%s\r\nContent-Type: %s\r\n\r\n" % (mark, json.dumps({k: v for k, v in about.items() if v}), mark, o.type)).encode()
        with open(o.path, "rb") as f:
            body = head + f.read() + ("\r\n--%s--\r\n" % mark).encode()
        os.unlink(o.path)
        with self.ask("POST", "/upload/storage/v1/b/%s/o?uploadType=multipart" % bucket, body, {"Content-Type": 'multipart/related; boundary="%s"' % mark}) as got:
            answer = got.read()
            assert got.status == 200, answer
        kept = self.made(json.loads(answer))
        assert (kept.size, kept.crc) == (o.size, o.crc)
        o.generation = kept.generation

    def forget(self, bucket, name):
        with self.ask("DELETE", "/storage/v1/b/%s/o/%s" % (bucket, quoted(name))) as got:
            assert got.status in (200, 204, 404), got.status


def serve(upstream):
    """As standin.serve(), before the emulator at `upstream` (host:port), with a bucket named "bucket" made there."""
    server, state = standin.serve(handler=type("FrontOf", (Front,), {"upstream": upstream}))
    connection = http.client.HTTPConnection(upstream, timeout=30)
    connection.request("POST", "/storage/v1/b?project=test", json.dumps({"name": "bucket"}), {"Content-Type": "application/json"})
    assert connection.getresponse().status in (200, 409)
    connection.close()
    return server, state
