package main

import "syscall"

// alone keeps a process from getting the Ctrl-C that is for the chaos, and from living longer than that.
var alone = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
