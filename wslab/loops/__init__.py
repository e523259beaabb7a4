"""Threads and event loops: `portal` owns them, `watchdog` sees who held one."""
