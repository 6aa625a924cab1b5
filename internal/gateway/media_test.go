package gateway_test

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/rephlo/rephlo/internal/catalog"
	"github.com/rephlo/rephlo/internal/egress"
	"github.com/rephlo/rephlo/internal/secret"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

// photo is a PNG of a size.
func photo(t testing.TB, w, h int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewPaletted(image.Rect(0, 0, w, h), color.Palette{color.Black, color.White})); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func dataURL(kind string, b []byte) string {
	return "data:" + kind + ";base64," + base64.StdEncoding.EncodeToString(b)
}

// shows is a chat completion with images; hello goes before them.
func shows(model, rest string, urls ...string) string {
	parts := []string{`{"type":"text","text":"Look"}`}
	for _, u := range urls {
		parts = append(parts, fmt.Sprintf(`{"type":"image_url","image_url":{"url":%q%s}}`, u, rest))
	}
	return fmt.Sprintf(`{"model":%q,"max_tokens":5,"messages":[{"role":"user","content":[%s]}]}`, model, strings.Join(parts, ","))
}

func TestImagesAreCheckedBeforeAnythingIsSent(t *testing.T) {
	t.Parallel()
	run(t, quick(), plenty, func(t *testing.T, w *world) {
		w.one.does(says(200, okAnswer))
		good := photo(t, 40, 30)
		huge := bytes.Clone(good)
		copy(huge[16:], "\x00\x00\x40\x00\x00\x00\x40\x00") // 16,384 x 16,384
		var jpg bytes.Buffer
		if err := jpeg.Encode(&jpg, image.NewGray(image.Rect(0, 0, 9, 9)), nil); err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			name, body, want string // in the answer
		}{
			{"one is no image", shows("single", "", dataURL("image/png", good), dataURL("image/png", []byte("<svg xmlns='http://www.w3.org/2000/svg'/>"))), `Image 1 of the request`},
			{"the type is another", shows("single", "", dataURL("image/jpeg", good)), `"details":{"index":0}`},
			{"cut off", shows("single", "", dataURL("image/png", good[:20])), `damaged`},
			{"too many pixels", shows("single", "", dataURL("image/png", huge)), `50 million`},
			{"too large", shows("single", "", dataURL("image/png", append(bytes.Clone(good), make([]byte, 20<<20)...))), `20 MiB`},
			{"http", shows("single", "", "http://example.com/a.png"), `must begin with https`},
			{"too many", shows("single", "", strings.Fields(strings.Repeat(dataURL("image/png", good)+" ", 11))...), `10 images`},
		} {
			r := w.post(tt.body)
			if r.status != 400 || r.code() != "invalid_image" || !strings.Contains(r.body, tt.want) {
				t.Errorf("%s: %d %.400s", tt.name, r.status, r.body)
			}
		}
		for name, send := range map[string][2]string{
			"anthropic's": {"/v1/messages", `{"model":"claude","max_tokens":5,"messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/webp","data":"` + base64.StdEncoding.EncodeToString(good) + `"}}]}]}`},
			"google's":    {"/v1beta/models/gem:generateContent", `{"contents":[{"role":"user","parts":[{"inlineData":{"mimeType":"image/gif","data":"` + base64.StdEncoding.EncodeToString(good) + `"}}]}]}`},
			"responses":   {"/v1/responses", `{"model":"single","input":[{"role":"user","content":[{"type":"input_image","image_url":"` + dataURL("image/gif", good) + `"}]}]}`},
			"a file":      {"/v1/chat/completions", `{"model":"single","messages":[{"role":"user","content":[{"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,` + strings.Repeat("QUJD", 500) + `"}}]}]}`},
			"a result": {"/v1/messages", `{"model":"claude","max_tokens":5,"messages":[{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"f","input":{}}]},` +
				`{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"QUJD"}}]}]}]}`},
		} {
			if r := w.at(send[0], send[1]); r.status != 400 || !strings.Contains(r.body, "invalid_image") && !strings.Contains(r.body, "Image 0") && !strings.Contains(r.body, "is none") {
				t.Errorf("%s: %d %s", name, r.status, r.body)
			}
		}
		if n := w.one.calls.Load(); n != 0 {
			t.Fatalf("the vendor had %d calls", n)
		}
		body := shows("single", "", dataURL("image/png", good), dataURL("image/jpg", jpg.Bytes()), "https://example.com/a.png")
		if r := w.post(body); r.status != 200 || w.one.lastBody() != strings.Replace(body, `"single"`, `"vm"`, 1) {
			t.Errorf("good ones: %d %s", r.status, r.body)
		}
	})
}

// The bound of a call is made of the tiles of its images; here it is the price
// that is refused.
func TestTheBoundKnowsTheSizeOfImages(t *testing.T) {
	t.Parallel()
	run(t, quick(), 0, func(t *testing.T, w *world) {
		required := func(body string) string {
			r := w.post(body)
			_, after, _ := strings.Cut(r.body, `"required":`)
			value, _, _ := strings.Cut(after, ",")
			return value
		}
		shown := func(size int, rest string) string { // as long as real ones are
			return required(shows("single", rest, dataURL("image/png", append(photo(t, size, size), make([]byte, 2000)...))))
		}
		none, small, large, low := required(shows("single", "")), shown(100, ""), shown(2048, ""), shown(2048, `,"detail":"low"`)
		unknown := required(shows("single", "", "https://example.com/a.png"))
		// 255, 765, 85 and 2,805 tokens at 1.5 dollars for a million, and the text.
		if none != "0.02" || small != "0.06" || large != "0.13" || low != "0.03" || unknown != "0.44" {
			t.Errorf("none %s, small %s, large %s, in low detail %s, unknown %s", none, small, large, low, unknown)
		}
	})
}

// asBytes is a provider that loads no images.
func asBytes(t testing.TB, db *sqldb.DB) (*world, *vendor) {
	t.Helper()
	v := newVendor(t)
	p := catalog.ProviderConfig{
		Name: "local", Vendor: "compat", BaseURL: v.URL, Key: secret.New(plantedKey), AllowPrivate: true, Options: catalog.Options{NoImageURL: true},
		Models: []catalog.ModelConfig{{ID: "llava", VendorModel: "vl", ContextLength: 10_000, MaxOutput: 1000, Prices: vendorPrices}},
	}
	return newWorld(t, db, quick(), plenty, p), v
}

func TestImagesAreLoadedForVendorsThatLoadNone(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w, local := asBytes(t, db)
		local.does(says(200, okAnswer))
		picture := photo(t, 12, 12)
		var asked atomic.Int64
		at := httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			rw.Header().Set("Content-Type", "image/png")
			if r.URL.Path == "/fake.png" {
				_, _ = rw.Write([]byte("<html>"))
				return
			}
			_, _ = rw.Write(picture)
		}))
		defer at.Close()
		roots := x509.NewCertPool()
		roots.AddCert(at.Certificate())
		var on atomic.Bool
		w.calls.Load(egress.NewImages(egress.ImageOptions{RootCAs: roots, Loopback: true}), on.Load)

		body := shows("llava", "", dataURL("image/png", picture), at.URL+"/a.png")
		if r := w.post(body); r.status != 400 || r.code() != "invalid_image" || !strings.Contains(r.body, "Image 1") || !strings.Contains(r.body, "data URL") || asked.Load()+local.calls.Load() != 0 {
			t.Errorf("while nothing is loaded: %d %s", r.status, r.body)
		}
		on.Store(true)
		if r := w.post(body); r.status != 200 || asked.Load() != 1 || strings.Count(local.lastBody(), dataURL("image/png", picture)) != 2 || strings.Contains(local.lastBody(), at.URL) {
			t.Errorf("%d %s, sent %s", r.status, r.body, local.lastBody())
		}
		if r := w.post(shows("llava", "", at.URL+"/fake.png")); r.status != 400 || r.code() != "invalid_image" || !strings.Contains(r.body, "no JPEG") {
			t.Errorf("one that is none: %d %s", r.status, r.body)
		}
		if r := w.post(shows("llava", "", dataURL("image/png", picture))); r.status != 200 {
			t.Errorf("as bytes: %d %s", r.status, r.body)
		}
		if strings.Contains(w.log.String(), "/a.png") || w.calls.Bodies() != 0 {
			t.Errorf("%d bytes are still counted, or the log has the address", w.calls.Bodies())
		}
		n := local.calls.Load()
		w.calls.Load(egress.NewImages(egress.ImageOptions{RootCAs: roots}), on.Load)
		for _, host := range []string{"127.0.0.1", "169.254.169.254", "2130706433", "[::ffff:10.0.0.1]", "localhost"} {
			if r := w.post(shows("llava", "", "https://"+host+"/a.png")); r.status != 400 || r.code() != "invalid_image" || strings.Contains(r.body, "refused") {
				t.Errorf("%s: %d %s", host, r.status, r.body)
			}
		}
		if local.calls.Load() != n || asked.Load() != 2 {
			t.Errorf("private addresses were asked: %d, %d", local.calls.Load(), asked.Load())
		}
	})
}
