package relay

import (
	"bytes"
	"errors"
	"mime"
	"net/textproto"
	"strconv"
	"strings"

	"github.com/rephlo/rephlo/internal/fault"
)

var errForm = fault.New(fault.Invalid, "invalid_request", "The body is not a form that can be read. Send multipart/form-data with each field once.").Final()

// Upload is what a transcription request says about itself.
type Upload struct {
	Scan
	// Format is response_format; empty is JSON.
	Format string
	// File is the sound.
	File []byte
}

const (
	maxFormParts  = 64
	maxPartHeader = 4 << 10
	maxFormField  = 64 << 10
)

// ScanUpload reads a request for a transcription: a form of RFC 7578, in the
// encoding of RFC 2046 section 5.1, with a file and a model. Every field of it
// is there once, apart from lists, whose names end in [].
func ScanUpload(contentType string, body []byte) (Upload, error) {
	u := Upload{Scan: Scan{N: 1}}
	media, params, err := mime.ParseMediaType(contentType)
	boundary := params["boundary"]
	if err != nil || media != "multipart/form-data" || boundary == "" || len(boundary) > 70 {
		return u, errForm.Saying("The body needs Content-Type: multipart/form-data with a boundary.")
	}
	seen := map[string]bool{}
	err = eachPart(body, boundary, func(name, file string, at span) error {
		if seen[name] && !strings.HasSuffix(name, "[]") {
			return errDuplicate.At(name).Saying("The field %s occurs twice. Send it once.", name)
		}
		seen[name] = true
		return u.part(name, body[at.start:at.end], at)
	})
	switch {
	case err != nil:
		if f, ok := errors.AsType[*fault.Error](err); ok {
			return u, f
		}
		return u, errForm.Because(err)
	case u.model.absent() || u.Model == "":
		return u, errField.At("model").Saying("The field model is missing. Name the model to use.")
	case len(u.File) == 0:
		return u, errField.At("file").Saying("The field file is missing, or empty. Send the sound.")
	}
	u.Media, u.MediaBytes = 1, int64(len(u.File))
	return u, nil
}

func (u *Upload) part(name string, value []byte, at span) error {
	if name == "file" {
		u.File = value
		return nil
	}
	if len(value) > maxFormField {
		return errForm.At(name).Saying("The field %s is too long.", name)
	}
	switch name {
	case "model":
		u.Model, u.model = string(value), at
		if strings.ContainsAny(u.Model, "\r\n\x00") || len(value) > 200 {
			return errField.At(name).Saying("The field model must name a model.")
		}
	case "stream":
		u.Stream = string(value) == "true"
	case "response_format":
		u.Format = string(value)
	case "prompt":
		u.TextBytes = int64(len(value))
	}
	return nil
}

// ApplyUpload returns the form around its only edit, the name of the model.
func (u Upload) ApplyUpload(body []byte, model string) [][]byte {
	if model == "" || model == u.Model {
		return [][]byte{body}
	}
	return cut(body, []splice{{span: u.model, text: []byte(model)}})
}

var errPart = errors.New("malformed part")

// eachPart calls f for the parts of a form, with the place of their contents.
func eachPart(body []byte, boundary string, f func(name, file string, at span) error) error {
	delimiter := []byte("\r\n--" + boundary)
	var at int
	switch first := delimiter[2:]; {
	case bytes.HasPrefix(body, first):
		at = len(first)
	default:
		i := bytes.Index(body, delimiter)
		if i < 0 {
			return errPart
		}
		at = i + len(delimiter)
	}
	for range maxFormParts {
		if bytes.HasPrefix(body[at:], []byte("--")) {
			return nil
		}
		for at < len(body) && (body[at] == ' ' || body[at] == '\t') { // padding
			at++
		}
		if !bytes.HasPrefix(body[at:], []byte("\r\n")) {
			return errPart
		}
		at += 2
		head := bytes.Index(body[at:min(len(body), at+maxPartHeader)], []byte("\r\n\r\n"))
		if head < 0 {
			return errPart
		}
		name, file, err := disposition(body[at : at+head])
		if err != nil {
			return err
		}
		start := at + head + 4
		size := bytes.Index(body[start-2:], delimiter) // an empty part has its line end before the delimiter
		if size < 0 {
			return errPart
		}
		end := start - 2 + size
		if err := f(name, file, span{start, max(start, end)}); err != nil {
			return err
		}
		at = end + len(delimiter)
	}
	return errPart
}

// disposition reads the head of a part.
func disposition(head []byte) (name, file string, err error) {
	for line := range bytes.SplitSeq(head, []byte("\r\n")) {
		key, value, ok := strings.Cut(string(line), ":")
		if !ok {
			return "", "", errPart
		}
		switch textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(key)) {
		case "Content-Disposition":
			if name != "" {
				return "", "", errPart
			}
			kind, params, err := mime.ParseMediaType(value)
			if err != nil || kind != "form-data" || params["name"] == "" {
				return "", "", errPart
			}
			name, file = params["name"], params["filename"]
		case "Content-Transfer-Encoding": // RFC 7578 section 4.7: not used
			if v := strings.ToLower(strings.TrimSpace(value)); v != "binary" && v != "8bit" && v != "7bit" {
				return "", "", errPart
			}
		}
	}
	if name == "" {
		return "", "", errPart
	}
	return name, file, nil
}

// seconds reads a number of seconds and rounds it up.
func seconds(v []byte) (n int64, ok bool) {
	f, err := strconv.ParseFloat(strings.Trim(string(v), `"`), 64)
	if err != nil || !(f >= 0) { // NaN neither
		return 0, false
	}
	if f > mostTokens {
		return mostTokens, true
	}
	n = int64(f)
	if float64(n) < f {
		n++
	}
	return n, true
}
