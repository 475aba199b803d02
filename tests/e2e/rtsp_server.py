"""A real RTSP camera, for tests: run with the SYSTEM's Python, which has GStreamer's bindings.

    /usr/bin/python3 rtsp_server.py PORT USER PASSWORD [PATTERN]

Serves rtsp://USER:PASSWORD@127.0.0.1:PORT/live, MJPEG over RTP, 320x240 at 15 frames a second; prints `ready`.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402 - the versions come first

port, user, password = sys.argv[1:4]
pattern = sys.argv[4] if len(sys.argv) > 4 else "ball"
Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service(port)
factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch(
    f"( videotestsrc is-live=true pattern={pattern} ! video/x-raw,format=I420,width=320,height=240,framerate=15/1 "
    "! jpegenc ! rtpjpegpay name=pay0 pt=26 )"
)
factory.set_shared(True)
auth = GstRtspServer.RTSPAuth()
token = GstRtspServer.RTSPToken()
token.set_string("media.factory.role", "user")
auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
server.set_auth(auth)
permissions = GstRtspServer.RTSPPermissions()
permissions.add_permission_for_role("user", "media.factory.access", True)
permissions.add_permission_for_role("user", "media.factory.construct", True)
factory.set_permissions(permissions)
server.get_mount_points().add_factory("/live", factory)
if server.attach(None) == 0:
    sys.exit(f"port {port} is in use")
print("ready", flush=True)
GLib.MainLoop().run()
