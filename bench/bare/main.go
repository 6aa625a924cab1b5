// Command bare is the least that a gateway in Go's standard library is: an
// httputil.ReverseProxy with a transport of its own that flushes at once. The
// benchmark prints Rephlo's cost as a multiple of it.
package main

import (
	"flag"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:9101", "where to listen")
	to := flag.String("to", "http://127.0.0.1:9100", "the vendor")
	flag.Parse()
	target, err := url.Parse(*to)
	if err != nil {
		log.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
		FlushInterval: -1,
		Transport: &http.Transport{
			MaxIdleConns: 4096, MaxIdleConnsPerHost: 4096, IdleConnTimeout: time.Minute, DisableCompression: true,
		},
	}
	handler := func(w http.ResponseWriter, r *http.Request) {
		// Else the server closes the request's body when the answer begins, and
		// now and then the transport has not yet seen its end.
		if err := http.NewResponseController(w).EnableFullDuplex(); err != nil {
			log.Print(err)
		}
		proxy.ServeHTTP(w, r)
	}
	server := &http.Server{Addr: *addr, Handler: http.HandlerFunc(handler), ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(server.ListenAndServe())
}
