package gateway

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/rephlo/rephlo/internal/catalog"
	"github.com/rephlo/rephlo/internal/egress"
	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/picture"
)

const (
	maxImageBytes  = 20 << 20
	maxPixels      = 50_000_000
	maxFileBytes   = 32 << 20
	fetchesAtOnce  = 4 // of one call
	soundByteToken = 100
	fileByteToken  = 20
)

// Pictures fetches images that vendors do not load themselves.
type Pictures interface {
	// Fetch returns the media type and at most limit bytes.
	Fetch(ctx context.Context, address string, limit int64) (mediaType string, image []byte, err error)
}

// attached is what a call brings beside its text.
type attached struct {
	images int
	remote bool // an image is only named by its address
	first  int  // of those
	known  bool // tokens is right for all of them
	tokens int64
}

// attach looks at images and files of a call that has any: at their size and
// kind by their first bytes, without decoding them. What is wrong is said before
// anything is held or sent. A request that the hub cannot read goes on without:
// it is its vendor's to judge.
func (c *call) attach() error {
	if c.scan.Images+c.scan.Media == 0 || c.op.dialect == nil {
		return nil
	}
	req, err := c.request()
	if err != nil {
		return nil //nolint:nilerr // understand says so where nobody takes it as it is
	}
	a := &attached{known: true}
	for i := range req.Messages {
		if err := a.parts(c, req.Messages[i].Parts); err != nil {
			return err
		}
	}
	c.attached = *a
	if a.images > maxImages {
		return llm.ErrImage.At("messages").Saying("A request may have %d images. Send fewer.", maxImages)
	}
	if a.remote && !c.s.fetches() && !slices.ContainsFunc(c.model.Routes, func(r catalog.Route) bool { return takesURLs(r.Provider, c.model) }) {
		return imageFault(a.first, noAddress)
	}
	return nil
}

const noAddress = "this model takes no addresses of images; send it as a data URL"

// imageFault refuses the request for the sake of its n-th image, from 0.
func imageFault(n int, why string) error {
	return llm.ErrImage.At("messages").Saying("Image %d of the request cannot be used: %s.", n, why).With("index", n)
}

func (a *attached) parts(c *call, parts []llm.Part) error {
	for i := range parts {
		p := &parts[i]
		var err error
		switch p.Kind { //nolint:exhaustive // the others have no media
		case llm.PartImage:
			err = a.image(c, p)
			a.images++
		case llm.PartDocument:
			err = a.document(p.Media)
		case llm.PartAudio, llm.PartVideo:
			a.tokens += bytesOf(p.Media) / soundByteToken
			a.known = a.known && p.Media.URL == ""
		case llm.PartToolResult:
			err = a.parts(c, p.Result.Parts)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// bytesOf is how many bytes a medium has, about.
func bytesOf(m *llm.Media) int64 { return int64(len(m.Data)) * 3 / 4 }

func (a *attached) image(c *call, p *llm.Part) error {
	n, m := a.images, p.Media
	low := m.Detail == "low"
	if m.Data == "" {
		if !strings.HasPrefix(strings.ToLower(m.URL), "https://") {
			return imageFault(n, "its address must begin with https://")
		}
		if !a.remote {
			a.remote, a.first = true, n
		}
		a.tokens += pictureTokens(c.model, picture.Image{}, low)
		return nil
	}
	if bytesOf(m) > maxImageBytes {
		return imageFault(n, "it is larger than 20 MiB")
	}
	img, why := readPicture(base64.NewDecoder(base64.StdEncoding, strings.NewReader(m.Data)), m.Type)
	if why != "" {
		return imageFault(n, why)
	}
	a.tokens += pictureTokens(c.model, img, low)
	return nil
}

// readPicture returns what an image is, or why it cannot be used. An empty type
// is not stated.
func readPicture(r io.Reader, stated string) (img picture.Image, why string) {
	img, err := picture.Read(r)
	switch {
	case errors.Is(err, picture.ErrFormat):
		return img, "it is no JPEG, PNG, GIF or WebP"
	case err != nil:
		return img, "it is damaged"
	case img.Pixels() > maxPixels:
		return img, "it has more than 50 million pixels"
	case stated != "" && stated != "image/*" && stated != img.Type && (stated != "image/jpg" || img.Type != "image/jpeg"):
		return img, "it is " + img.Type + " and not what its type says"
	}
	return img, ""
}

func (a *attached) document(m *llm.Media) error {
	if m.Data == "" {
		a.known = a.known && m.Text != "" // which is counted as text
		return nil
	}
	a.tokens += max(fileTokens, bytesOf(m)/fileByteToken)
	switch {
	case bytesOf(m) > maxFileBytes:
		return llm.ErrImage.At("messages").Saying("A file of the request is larger than 32 MiB.")
	case m.Type == "application/pdf" && !isPDF(m.Data):
		return llm.ErrImage.At("messages").Saying("A file of the request is said to be a PDF and is none.")
	}
	return nil
}

// isPDF reports whether the magic word is among the first bytes (ISO 32000-1,
// annex H.3.4.1: within 1,024 of them).
func isPDF(data string) bool {
	head := make([]byte, 1024)
	n, _ := io.ReadFull(base64.NewDecoder(base64.StdEncoding, strings.NewReader(data)), head)
	return strings.Contains(string(head[:n]), "%PDF-")
}

// pictureTokens is the most that a vendor of the model counts for an image; the
// zero image has an unknown size.
func pictureTokens(m *catalog.Model, img picture.Image, low bool) int64 {
	if img.Width == 0 {
		if low {
			return picture.Low
		}
		return picture.Unknown
	}
	var most int64
	for i := range m.Routes {
		rule := picture.OpenAI
		switch m.Routes[i].Provider.Vendor {
		case "anthropic":
			rule = picture.Anthropic
		case "google":
			rule = picture.Google
		}
		most = max(most, picture.Tokens(rule, img, low))
	}
	return most
}

// takesURLs reports whether a provider loads images by itself.
func takesURLs(p *catalog.Provider, m *catalog.Model) bool {
	switch p.Vendor {
	case "google":
		return slices.Contains(m.Capabilities.Words, "image_url")
	case "compat":
		return !p.Options.NoImageURL
	}
	return true
}

// fetches reports whether we load images for those who do not.
func (s *Service) fetches() bool {
	return s.needs.Pictures != nil && s.needs.FetchImages != nil && s.needs.FetchImages()
}

// loadImages puts the bytes in the place of addresses, for a deployment that
// loads none. They count in the budget of bodies until the call ends.
func (c *call) loadImages(req *llm.Request) error {
	if !c.attached.remote || takesURLs(c.route.Provider, c.model) {
		return nil
	}
	if !c.s.fetches() {
		return imageFault(c.attached.first, noAddress)
	}
	var images []*llm.Part
	for i := range req.Messages {
		images = imagesOf(images, req.Messages[i].Parts)
	}
	sizes := make([]int64, len(images))
	group, ctx := errgroup.WithContext(c.ctx)
	group.SetLimit(fetchesAtOnce)
	for i, p := range images {
		if p.Media.URL == "" {
			continue
		}
		group.Go(func() (err error) {
			sizes[i], err = c.loadImage(ctx, i, p.Media)
			return err
		})
	}
	err := group.Wait()
	for _, n := range sizes {
		c.counted += n
	}
	return err
}

// imagesOf appends the images among parts, those in results of tools too.
func imagesOf(to []*llm.Part, parts []llm.Part) []*llm.Part {
	for i := range parts {
		switch p := &parts[i]; p.Kind { //nolint:exhaustive // the others have no images
		case llm.PartImage:
			to = append(to, p)
		case llm.PartToolResult:
			to = imagesOf(to, p.Result.Parts)
		}
	}
	return to
}

// loadImage loads one image; size is what it takes of the budget, also after an
// error.
func (c *call) loadImage(ctx context.Context, n int, m *llm.Media) (size int64, err error) {
	stated, image, err := c.s.needs.Pictures.Fetch(ctx, m.URL, maxImageBytes)
	if why, ok := strings.CutPrefix(errText(err), egress.ErrImage.Error()+": "); ok {
		return 0, imageFault(n, why)
	}
	if err != nil {
		return 0, err
	}
	size = int64(base64.StdEncoding.EncodedLen(len(image)))
	if !c.s.bodies.try(size) {
		return 0, ErrOverloaded
	}
	img, why := readPicture(strings.NewReader(string(image)), stated)
	if why != "" {
		return size, imageFault(n, why)
	}
	m.Type, m.Data, m.URL = img.Type, base64.StdEncoding.EncodeToString(image), ""
	return size, nil
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
