package relay

import (
	"bytes"
	"encoding/binary"
	"strconv"
)

// slowest is how many bytes a second of sound has at least, in formats whose
// head we do not read: 16 kbit/s, below which speech is not stored.
const slowest = 2000

// SoundSeconds returns how long a sound file is, rounded up. It is exact for
// WAV, and for MP3 if its bit rate is the one of its first frame. Of others it
// is the most that the size allows.
func SoundSeconds(file []byte) (seconds int64, exact bool) {
	size := int64(len(file))
	switch {
	case len(file) >= 12 && string(file[:4]) == "RIFF" && string(file[8:12]) == "WAVE":
		if rate := wavRate(file); rate > 0 {
			return (size + rate - 1) / rate, true
		}
	default:
		if rate := mp3Rate(file); rate > 0 {
			return (size + rate - 1) / rate, true
		}
	}
	return (size + slowest - 1) / slowest, false
}

// wavRate returns the bytes per second of a RIFF file, from its chunk "fmt ":
// format, channels, samples per second, bytes per second, block, bits.
func wavRate(file []byte) int64 {
	for at := 12; at+8 <= len(file) && at < 4<<10; {
		n := int(binary.LittleEndian.Uint32(file[at+4:]))
		if string(file[at:at+4]) == "fmt " {
			if n < 16 || at+8+16 > len(file) {
				return 0
			}
			f := file[at+8:]
			stated := int64(binary.LittleEndian.Uint32(f[8:]))
			samples := int64(binary.LittleEndian.Uint32(f[4:])) * int64(binary.LittleEndian.Uint16(f[2:])) * int64(binary.LittleEndian.Uint16(f[14:])) / 8
			if samples > 0 { // what decoders go by
				return min(stated, samples)
			}
			return stated
		}
		if n < 0 || n > len(file) {
			return 0
		}
		at += 8 + n + n&1
	}
	return 0
}

// mp3Rates are kbit/s of layer III, by version (ISO 11172-3 and 13818-3).
var mp3Rates = [2][16]int64{
	{0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0},
	{0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0},
}

// mp3Rate returns the bytes per second that the first frame of an MP3 states.
func mp3Rate(file []byte) int64 {
	at := 0
	if len(file) > 10 && string(file[:3]) == "ID3" {
		at = 10 + int(file[6]&0x7f)<<21 + int(file[7]&0x7f)<<14 + int(file[8]&0x7f)<<7 + int(file[9]&0x7f)
	}
	if at+4 > len(file) || file[at] != 0xff || file[at+1]&0xe6 != 0xe2 { // sync, layer III
		return 0
	}
	which := 1
	if file[at+1]&0x18 == 0x18 { // version 1
		which = 0
	}
	if head := file[at:min(len(file), at+200)]; bytes.Contains(head, []byte("Xing")) || bytes.Contains(head, []byte("VBRI")) {
		return 0 // of variable rate: the first frame says nothing
	}
	return mp3Rates[which][file[at+2]>>4] * 1000 / 8
}

// SubtitleSeconds returns the last time that subtitles (SubRip or WebVTT)
// state, rounded up; 0 when the text is none.
func SubtitleSeconds(text []byte) int64 {
	i := bytes.LastIndex(text, []byte(" --> "))
	if i < 0 {
		return 0
	}
	stamp := text[i+len(" --> "):]
	if end := bytes.IndexAny(stamp, " \r\n"); end >= 0 {
		stamp = stamp[:end]
	}
	stamp = bytes.ReplaceAll(stamp, []byte(","), []byte("."))
	total := 0.0
	for part := range bytes.SplitSeq(stamp, []byte(":")) {
		v, err := strconv.ParseFloat(string(part), 64)
		if err != nil || v < 0 || v > 1e6 {
			return 0
		}
		total = total*60 + v
	}
	if total > 1e7 {
		return 0
	}
	n := int64(total)
	if float64(n) < total {
		n++
	}
	return n
}
