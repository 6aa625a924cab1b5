// Package client knows the OAuth clients: who they are, where they may be
// answered, what they may ask for and how they prove themselves.
//
// All clients sit in a memory snapshot that the bus refreshes, so asking for
// one reads nothing.
//
// Tables: client_client, client_resource, client_resource_claim.
package client
