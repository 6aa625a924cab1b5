package client

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/rephlo/rephlo/internal/audit"
	"github.com/rephlo/rephlo/internal/identity/oauth"
)

// ResourceEdit is what an administrator says about a resource; what is nil is
// not said.
type ResourceEdit struct {
	Name            *string   `json:"name,omitempty" minLength:"1" maxLength:"120"`
	Status          *Status   `json:"status,omitempty" enum:"active,disabled" doc:"No tokens are issued for a disabled resource"`
	Aliases         *[]string `json:"aliases,omitempty" maxItems:"10" doc:"Other addresses that requests may name it by"`
	Scopes          *[]Scope  `json:"scopes,omitempty" maxItems:"50"`
	DefaultScopes   *[]string `json:"defaultScopes,omitempty" maxItems:"50" doc:"What a request gets that names the resource and no scope of it"`
	TokenFormat     *string   `json:"tokenFormat,omitempty" enum:"client,jwt,opaque" doc:"client: as the client has it"`
	AccessTokenLife *int64    `json:"accessTokenLife,omitempty" minimum:"0" maximum:"86400" doc:"In seconds, at most that of other tokens; 0: as usual"`
	AccessTokenAlg  *string   `json:"accessTokenAlg,omitempty" enum:"ES256,RS256,EdDSA" doc:"What signs its access tokens that are JWTs"`
	DPoP            *string   `json:"dpop,omitempty" enum:"optional,required"`
	OpenTo          *OpenTo   `json:"openTo,omitempty" enum:"firstParty,approved,any" doc:"approved: clients that have it among their resources; any: everybody's, for delegable scopes"`
	Introspectors   *[]string `json:"introspectionClients,omitempty" maxItems:"20" doc:"Clients that may ask about its tokens"`
}

func (e ResourceEdit) apply(r *Resource) error {
	var done edits
	set(&done, "name", &r.Name, e.Name)
	choose(&done, "status", &r.Disabled, e.Status, StatusDisabled, StatusActive)
	set(&done, "aliases", &r.Aliases, e.Aliases)
	set(&done, "scopes", &r.Scopes, e.Scopes)
	set(&done, "defaultScopes", &r.Default, e.DefaultScopes)
	if e.TokenFormat != nil && *e.TokenFormat == "client" {
		r.TokenFormat = ""
	} else {
		set(&done, "tokenFormat", &r.TokenFormat, e.TokenFormat)
	}
	set(&done, "accessTokenLife", &r.AccessLife, e.AccessTokenLife)
	set(&done, "accessTokenAlg", &r.Alg, e.AccessTokenAlg)
	choose(&done, "dpop", &r.RequireDPoP, e.DPoP, "required", "optional")
	set(&done, "openTo", &r.OpenTo, e.OpenTo)
	set(&done, "introspectionClients", &r.Introspectors, e.Introspectors)
	return done.err
}

// ShownResource is a resource as administrators see it.
type ShownResource struct {
	ID              string    `json:"id"`
	Name            string    `json:"name"`
	Status          Status    `json:"status" enum:"active,disabled"`
	Aliases         []string  `json:"aliases"`
	Scopes          []Scope   `json:"scopes"`
	DefaultScopes   []string  `json:"defaultScopes"`
	TokenFormat     string    `json:"tokenFormat" enum:"client,jwt,opaque"`
	AccessTokenLife int64     `json:"accessTokenLife"`
	AccessTokenAlg  string    `json:"accessTokenAlg" enum:"ES256,RS256,EdDSA"`
	DPoP            string    `json:"dpop" enum:"optional,required"`
	OpenTo          OpenTo    `json:"openTo" enum:"firstParty,approved,any"`
	Introspectors   []string  `json:"introspectionClients"`
	CreatedAt       time.Time `json:"createdAt"`
}

// ShowResource returns r as administrators see it.
func ShowResource(r Resource) ShownResource {
	return ShownResource{
		ID: r.ID, Name: r.Name, Status: either(r.Disabled, StatusDisabled, StatusActive), Aliases: words(r.Aliases),
		Scopes: append([]Scope{}, r.Scopes...), DefaultScopes: words(r.Default), TokenFormat: either(r.TokenFormat == "", "client", r.TokenFormat),
		AccessTokenLife: r.AccessLife, AccessTokenAlg: cmp.Or(r.Alg, oauth.AlgES256), DPoP: either(r.RequireDPoP, "required", "optional"), OpenTo: r.OpenTo,
		Introspectors: words(r.Introspectors), CreatedAt: r.CreatedAt.UTC().Truncate(time.Second),
	}
}

// Resources returns the resources, by address.
func (a Admin) Resources(ctx context.Context) []Resource {
	return slices.Clone(a.Clients.current(ctx).resources)
}

// Resource returns one, or ErrNoResource.
func (a Admin) Resource(ctx context.Context, id string) (Resource, error) {
	for _, r := range a.Clients.current(ctx).resources {
		if r.ID == id {
			return r, nil
		}
	}
	return Resource{}, ErrNoResource
}

// CreateResource stores a new resource. ErrResourceInvalid and
// ErrResourceExists.
func (a Admin) CreateResource(ctx context.Context, id string, e ResourceEdit, reason string) (Resource, error) {
	r := Resource{ID: id, OpenTo: OpenApproved, CreatedAt: a.Clients.now().UTC().Truncate(time.Microsecond)}
	if err := e.apply(&r); err != nil {
		return r, err
	}
	if err := errors.Join(r.check(), a.Clients.Prepare(ctx, r.chosen())); err != nil {
		return r, err
	}
	return r, a.Clients.db.InTx(ctx, func(ctx context.Context) error {
		if _, err := a.Clients.store.resource(ctx, id); err == nil {
			return ErrResourceExists
		}
		return a.storeResource(ctx, r, audit.Change{Action: "resources.create", Reason: reason})
	})
}

// EditResource changes the settings of a resource that e names.
// ErrNoResource, ErrResourceInvalid and ErrResourceExists.
func (a Admin) EditResource(ctx context.Context, id string, e ResourceEdit, reason string) (Resource, error) {
	var r Resource
	if alg := e.AccessTokenAlg; alg != nil && slices.Contains(oauth.Algs(), *alg) {
		if err := a.Clients.Prepare(ctx, []string{*alg}); err != nil {
			return r, err
		}
	}
	err := a.Clients.db.InTx(ctx, func(ctx context.Context) error {
		was, err := a.Clients.store.resource(ctx, id)
		if err != nil {
			return err
		}
		r = was
		if err := e.apply(&r); err != nil {
			return err
		}
		return a.storeResource(ctx, r, audit.Change{Action: "resources.edit", Reason: reason, Before: ShowResource(was)})
	})
	return r, err
}

// DeleteResource removes a resource. Its tokens are not introspected as active
// any more, and none is issued. ErrNoResource.
func (a Admin) DeleteResource(ctx context.Context, id, reason string) error {
	return a.Clients.db.InTx(ctx, func(ctx context.Context) error {
		was, err := a.Clients.store.resource(ctx, id)
		if err != nil {
			return err
		}
		if _, err := a.Clients.store.removeResource(ctx, id); err != nil {
			return err
		}
		return a.resourceChanged(ctx, audit.Change{Action: "resources.delete", ID: id, Reason: reason, Before: ShowResource(was)})
	})
}

func (a Admin) storeResource(ctx context.Context, r Resource, c audit.Change) error {
	if err := r.check(); err != nil {
		return err
	}
	ok, err := a.Clients.store.writeResource(ctx, r, a.Clients.now())
	if err != nil {
		return err
	}
	if !ok || a.own(r) {
		return ErrResourceExists
	}
	c.ID, c.After = r.ID, ShowResource(r)
	return a.resourceChanged(ctx, c)
}

func (a Admin) resourceChanged(ctx context.Context, c audit.Change) error {
	c.Type = "resource"
	if err := a.Audit.Write(ctx, c); err != nil {
		return err
	}
	return a.Clients.bus.Publish(ctx, busKind, c.ID)
}
