package redistest

import "syscall"

// endWithParent has the server die with a test process that dies before it could clean up.
func endWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
