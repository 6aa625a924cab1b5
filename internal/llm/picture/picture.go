package picture

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
)

// Image is what the head of an image says.
type Image struct {
	Type          string // image/jpeg, image/png, image/gif or image/webp
	Width, Height int64  // pixels; above 0
}

// Errors of Read.
var (
	ErrFormat = errors.New("it is no JPEG, PNG, GIF or WebP")
	ErrHead   = errors.New("its head is damaged, or ends before the size")
)

// Pixels returns how many there are.
func (i Image) Pixels() int64 { return i.Width * i.Height }

// Read returns what an image is. It reads r no further than the size.
func Read(r io.Reader) (Image, error) {
	b := bufio.NewReader(r)
	head, err := b.Peek(magicLen)
	if err != nil && !errors.Is(err, io.EOF) {
		return Image{}, err
	}
	var img Image
	switch {
	case bytes.HasPrefix(head, []byte("\x89PNG\r\n\x1a\n")):
		img, err = png(b)
	case bytes.HasPrefix(head, []byte("GIF87a")), bytes.HasPrefix(head, []byte("GIF89a")):
		img, err = gif(b)
	case len(head) == magicLen && string(head[:4]) == "RIFF" && string(head[8:]) == "WEBP":
		img, err = webp(b)
	case bytes.HasPrefix(head, []byte("\xff\xd8\xff")):
		img, err = jpeg(b)
	default:
		return Image{}, ErrFormat
	}
	if err != nil || img.Width <= 0 || img.Height <= 0 {
		return Image{}, ErrHead
	}
	return img, nil
}

const magicLen = 12

// png: the signature and the chunk IHDR, which is the first (PNG, third
// edition, section 5.6).
func png(b *bufio.Reader) (Image, error) {
	var head [24]byte
	if _, err := io.ReadFull(b, head[:]); err != nil {
		return Image{}, err
	}
	if binary.BigEndian.Uint32(head[8:]) != 13 || string(head[12:16]) != "IHDR" {
		return Image{}, ErrHead
	}
	w, h := int64(binary.BigEndian.Uint32(head[16:])), int64(binary.BigEndian.Uint32(head[20:]))
	if w > math.MaxInt32 || h > math.MaxInt32 {
		return Image{}, ErrHead
	}
	return Image{"image/png", w, h}, nil
}

// gif: the size of the logical screen follows the signature (GIF89a, section
// 18).
func gif(b *bufio.Reader) (Image, error) {
	var head [10]byte
	if _, err := io.ReadFull(b, head[:]); err != nil {
		return Image{}, err
	}
	return Image{"image/gif", int64(binary.LittleEndian.Uint16(head[6:])), int64(binary.LittleEndian.Uint16(head[8:]))}, nil
}

// jpeg: segments up to the one that begins the frame (ITU-T T.81, annex B).
func jpeg(b *bufio.Reader) (Image, error) {
	if _, err := b.Discard(2); err != nil {
		return Image{}, err
	}
	for range maxSegments {
		marker, err := nextMarker(b)
		switch {
		case err != nil:
			return Image{}, err
		case marker == 0x01 || marker >= 0xd0 && marker <= 0xd7: // these have no length
			continue
		case marker == 0xd9, marker == 0xda: // the image begins, or has ended
			return Image{}, ErrHead
		}
		var length [2]byte
		if _, err := io.ReadFull(b, length[:]); err != nil {
			return Image{}, err
		}
		n := int(binary.BigEndian.Uint16(length[:]))
		if n < 2 {
			return Image{}, ErrHead
		}
		if marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc {
			var frame [5]byte
			if _, err := io.ReadFull(b, frame[:]); err != nil {
				return Image{}, err
			}
			return Image{"image/jpeg", int64(binary.BigEndian.Uint16(frame[3:])), int64(binary.BigEndian.Uint16(frame[1:]))}, nil
		}
		if _, err := b.Discard(n - 2); err != nil {
			return Image{}, err
		}
	}
	return Image{}, ErrHead
}

// maxSegments bounds what is skipped before the frame.
const maxSegments = 1000

// nextMarker reads a marker, which any number of 0xff may precede.
func nextMarker(b *bufio.Reader) (byte, error) {
	if c, err := b.ReadByte(); err != nil || c != 0xff {
		return 0, ErrHead
	}
	for {
		c, err := b.ReadByte()
		if err != nil || c == 0 {
			return 0, ErrHead
		}
		if c != 0xff {
			return c, nil
		}
	}
}

// webp: the first chunk says which of three forms it is (RFC 9649, section 2,
// with RFC 6386, section 9.1, for VP8).
func webp(b *bufio.Reader) (Image, error) {
	var head [30]byte
	n, err := io.ReadFull(b, head[:])
	if err != nil && n < 25 {
		return Image{}, err
	}
	switch string(head[12:16]) {
	case "VP8X":
		if n < len(head) {
			return Image{}, ErrHead
		}
		return Image{"image/webp", 1 + little24(head[24:]), 1 + little24(head[27:])}, nil
	case "VP8L":
		if head[20] != 0x2f {
			return Image{}, ErrHead
		}
		bits := int64(binary.LittleEndian.Uint32(head[21:]))
		return Image{"image/webp", 1 + bits&0x3fff, 1 + bits>>14&0x3fff}, nil
	case "VP8 ":
		if n < len(head) || string(head[23:26]) != "\x9d\x01\x2a" {
			return Image{}, ErrHead
		}
		return Image{"image/webp", int64(binary.LittleEndian.Uint16(head[26:])) & 0x3fff, int64(binary.LittleEndian.Uint16(head[28:])) & 0x3fff}, nil
	}
	return Image{}, ErrHead
}

func little24(b []byte) int64 { return int64(b[0]) | int64(b[1])<<8 | int64(b[2])<<16 }
