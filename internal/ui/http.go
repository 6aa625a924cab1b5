package ui

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"strings"
	"sync"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/web"
)

//go:embed assets/*
var assets embed.FS

// version changes when an asset does, so that browsers may keep each for ever.
var version = sync.OnceValue(func() string {
	h := sha256.New()
	for _, name := range []string{"app.css", "app.js"} {
		data, _ := assets.ReadFile("assets/" + name) // embedded
		h.Write(data)
	}
	return hex.EncodeToString(h.Sum(nil))[:12]
})

func assetPath(name string) string { return "/assets/" + version() + "/" + name }

// Assets serves the style sheet and the script.
type Assets struct{}

// Mount registers the routes.
func (Assets) Mount(m *web.Mux) { m.Handle("GET /assets/{version}/{name}", asset, web.Page()) }

var types = map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}

func asset(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	data, err := assets.ReadFile("assets/" + name)
	if err != nil || r.PathValue("version") != version() {
		return fault.ErrNotFound
	}
	w.Header().Set("Content-Type", types[name[strings.LastIndexByte(name, '.'):]])
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	_, _ = w.Write(data) //nolint:gosec // embedded; a client that left is not our error
	return nil
}
