package picture_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"strings"
	"testing"

	"github.com/rephlo/rephlo/internal/llm/picture"
)

// drawn returns images of one size as Go's encoders write them.
func drawn(tb testing.TB, w, h int) map[string][]byte {
	tb.Helper()
	img := image.NewPaletted(image.Rect(0, 0, w, h), color.Palette{color.Black, color.White})
	out := map[string][]byte{}
	for kind, encode := range map[string]func(io.Writer) error{
		"image/png":  func(to io.Writer) error { return png.Encode(to, img) },
		"image/gif":  func(to io.Writer) error { return gif.Encode(to, img, nil) },
		"image/jpeg": func(to io.Writer) error { return jpeg.Encode(to, img, nil) },
	} {
		var b bytes.Buffer
		if err := encode(&b); err != nil {
			tb.Fatal(err)
		}
		out[kind] = b.Bytes()
	}
	return out
}

// webps are the three forms of RFC 9649, up to their sizes.
func webps(w, h uint32) map[string][]byte {
	head := func(chunk string, data ...byte) []byte {
		return append([]byte("RIFF\x00\x01\x00\x00WEBP"+chunk+"\x00\x01\x00\x00"), data...)
	}
	little := func(v uint32, n int) []byte { return binary.LittleEndian.AppendUint32(nil, v)[:n] }
	return map[string][]byte{
		"lossy":    head("VP8 ", append(append([]byte("\x00\x00\x00\x9d\x01\x2a"), little(w, 2)...), little(h, 2)...)...),
		"lossless": head("VP8L", append([]byte{0x2f}, little((w-1)|(h-1)<<14, 4)...)...),
		"extended": head("VP8X", append(append([]byte{0, 0, 0, 0}, little(w-1, 3)...), little(h-1, 3)...)...),
	}
}

func TestTheSizeIsInTheHead(t *testing.T) {
	t.Parallel()
	for _, size := range [][2]int{{1, 1}, {640, 480}, {3, 1000}} {
		for kind, b := range drawn(t, size[0], size[1]) {
			got, err := picture.Read(bytes.NewReader(b))
			if want := (picture.Image{Type: kind, Width: int64(size[0]), Height: int64(size[1])}); err != nil || got != want {
				t.Errorf("%v, %v; want %v", got, err, want)
			}
		}
		for form, b := range webps(uint32(size[0]), uint32(size[1])) {
			got, err := picture.Read(bytes.NewReader(b))
			if err != nil || got.Type != "image/webp" || got.Width != int64(size[0]) || got.Height != int64(size[1]) {
				t.Errorf("%s: %v, %v", form, got, err)
			}
		}
	}
}

// Cameras write profiles and small pictures before the frame.
func TestAJPEGsSizeIsBehindOtherSegments(t *testing.T) {
	t.Parallel()
	plain := drawn(t, 20, 10)["image/jpeg"]
	b := append([]byte{}, plain[:2]...)
	for range 5 {
		b = append(b, 0xff, 0xff, 0xe1, 0xff, 0xff)
		b = append(b, make([]byte, 0xffff-2)...)
	}
	b = append(b, plain[2:]...)
	if got, err := picture.Read(bytes.NewReader(b)); err != nil || got.Width != 20 || got.Height != 10 {
		t.Errorf("%v, %v", got, err)
	}
}

func TestWhatIsNoImageIsRefused(t *testing.T) {
	t.Parallel()
	for _, b := range []string{"", "<svg xmlns='http://www.w3.org/2000/svg'/>", "BM", "%PDF-1.7", "GIF90a....", "RIFF....WAVEfmt "} {
		if _, err := picture.Read(strings.NewReader(b)); !errors.Is(err, picture.ErrFormat) {
			t.Errorf("%q: %v", b, err)
		}
	}
	for kind, b := range drawn(t, 30, 30) {
		for n := 8; n < 20; n++ {
			if img, err := picture.Read(bytes.NewReader(b[:n])); err == nil && kind != "image/gif" {
				t.Errorf("%s cut after %d bytes: %v", kind, n, img)
			}
		}
	}
	for _, b := range []string{"GIF89a\x00\x00\x01\x00", "\xff\xd8\xff\xda\x00\x02", "\xff\xd8\xff\xe0\x00\x01", "\xff\xd8\xff\x00", "RIFF\x00\x00\x00\x00WEBPVP9 " + strings.Repeat("\x00", 20)} {
		if _, err := picture.Read(strings.NewReader(b)); !errors.Is(err, picture.ErrHead) {
			t.Errorf("%q: %v", b, err)
		}
	}
}

// The first of OpenAI's are the examples of its guide, the first of Anthropic's
// and Google's those of theirs.
func TestTokensFollowTheVendorsRules(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		vendor picture.Vendor
		w, h   int64
		low    bool
		want   int64
	}{
		{picture.OpenAI, 1024, 1024, false, 765},
		{picture.OpenAI, 2048, 4096, false, 1105},
		{picture.OpenAI, 4096, 8192, true, 85},
		{picture.OpenAI, 1, 1, false, 255},
		{picture.OpenAI, 20_000, 1, false, 85 + 4*170},
		{picture.Anthropic, 200, 200, false, 54},
		{picture.Anthropic, 1000, 1000, false, 1334},
		{picture.Anthropic, 8000, 8000, false, 3279},
		{picture.Google, 384, 384, false, 258},
		{picture.Google, 385, 100, false, 258},
		{picture.Google, 1920, 1080, false, 6 * 258},
		{picture.Google, 1920, 1080, true, 258},
	} {
		if got := picture.Tokens(tt.vendor, picture.Image{Width: tt.w, Height: tt.h}, tt.low); got != tt.want {
			t.Errorf("%d: %d x %d: %d tokens, want %d", tt.vendor, tt.w, tt.h, got, tt.want)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, b := range drawn(f, 5, 7) {
		f.Add(b)
	}
	for _, b := range webps(5, 7) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		img, err := picture.Read(bytes.NewReader(b))
		if err != nil {
			return
		}
		if img.Width < 1 || img.Height < 1 || img.Pixels() < 1 {
			t.Errorf("%+v", img)
		}
		if config, _, err := image.DecodeConfig(bytes.NewReader(b)); err == nil && img.Type != "image/webp" && (int64(config.Width) != img.Width || int64(config.Height) != img.Height) {
			t.Errorf("%+v, and the decoder says %d x %d", img, config.Width, config.Height)
		}
	})
}
