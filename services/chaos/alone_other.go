//go:build !linux

package main

import "syscall"

// alone keeps a process from getting the Ctrl-C that is for the chaos.
var alone = &syscall.SysProcAttr{Setpgid: true}
