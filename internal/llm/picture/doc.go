// Package picture reads what an image is and how large, from the beginning of
// its bytes and without decoding it: JPEG, PNG, GIF and WebP. What it reads is
// what strangers send, so it allocates nothing that they can make large, and it
// takes as little of the input as there is before the size.
//
// It also says how many tokens vendors count for an image of a size, by their
// published rules.
package picture
