"""The gRPC edge of the CAPTCHA, and the life of a process that serves both edges."""
