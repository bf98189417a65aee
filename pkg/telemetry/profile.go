package telemetry

import (
	"net/http"
	"net/http/pprof"
)

// Profiles serves the runtime's profiles under /debug/pprof/, for `go tool pprof`. They tell a lot about the process, so they belong
// on an address of their own.
func Profiles() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}
