// Package dialect has what the dialects of clients share: reading a request
// strictly, naming what is wrong with it, and the headers of errors.
package dialect
