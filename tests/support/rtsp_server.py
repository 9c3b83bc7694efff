"""An RTSP server for the tests, with Debian's gir1.2-gst-rtsp-server-1.0: python3 tests/support/rtsp_server.py PORT.

Serves a moving test picture, 160x120 at 25 frames per second, as rtsp://127.0.0.1:PORT/live in Motion JPEG and as /h264
in H.264; with USER:PASSWORD as a second argument only to clients with that login. Prints a line when it listens, and
serves until it is killed.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

PICTURES = "videotestsrc is-live=true pattern=ball ! video/x-raw,format=I420,width=160,height=120,framerate=25/1"
CODECS = {
    "/live": "jpegenc ! rtpjpegpay",
    "/h264": "x264enc tune=zerolatency key-int-max=25 ! rtph264pay config-interval=1",
}


def media_factory(codec: str) -> GstRtspServer.RTSPMediaFactory:
    """Encodes the pictures; the role `viewer` is for servers with a login."""
    factory = GstRtspServer.RTSPMediaFactory.new()
    factory.set_launch(f"( {PICTURES} ! {codec} name=pay0 )")
    factory.set_shared(True)
    rights = "media.factory.access=(boolean)true, media.factory.construct=(boolean)true"
    factory.add_role_from_structure(Gst.Structure.from_string(f"viewer, {rights};")[0])
    return factory


def serve(port: str, login: str | None) -> None:
    Gst.init(None)
    server = GstRtspServer.RTSPServer.new()
    server.set_address("127.0.0.1")
    server.set_service(port)
    if login is not None:
        access = GstRtspServer.RTSPAuth.new()
        token = GstRtspServer.RTSPToken.new()
        token.set_string(GstRtspServer.RTSP_TOKEN_MEDIA_FACTORY_ROLE, "viewer")
        access.add_basic(GstRtspServer.RTSPAuth.make_basic(*login.split(":")), token)
        server.set_auth(access)
    for path, codec in CODECS.items():
        server.get_mount_points().add_factory(path, media_factory(codec))
    if not server.attach(None):
        sys.exit(f"port {port} is in use")
    print("listening", flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None)
