package egress

import "time"

// take returns the connection to an address that was used last, nil without
// one that is still good.
func (c *Client) take(to address) *conn {
	for {
		cn := c.pop(to)
		if cn == nil || !closedByPeer(cn) {
			return cn
		}
		cn.abort()
	}
}

func (c *Client) pop(to address) *conn {
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		list := c.idle[to]
		if len(list) == 0 {
			return nil
		}
		cn := list[len(list)-1]
		list[len(list)-1] = nil
		c.idle[to] = list[:len(list)-1]
		c.count--
		if now.Sub(cn.since) < cn.idleFor {
			return cn
		}
		cn.abort()
	}
}

// put keeps a connection for the next call, or closes it.
func (c *Client) put(cn *conn, h head) {
	cn.idleFor = c.idleFor
	if h.keepAlive > 0 {
		cn.idleFor = min(c.idleFor, h.keepAlive-time.Second)
	}
	cn.since = c.now()
	if cap(cn.out) > joinBelow+maxHead {
		cn.out = nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	list := c.idle[cn.to]
	if c.closed || cn.idleFor <= 0 || len(list) >= c.maxIdle || c.count >= maxIdleAll {
		cn.abort()
		return
	}
	c.idle[cn.to] = append(list, cn)
	c.count++
	if c.sweep == nil {
		c.sweep = time.AfterFunc(c.idleFor, c.expire)
	}
}

// expire closes what has been idle too long. It runs from a timer while
// anything is idle.
func (c *Client) expire() {
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	for to, list := range c.idle {
		kept := list[:0]
		for _, cn := range list {
			if now.Sub(cn.since) < cn.idleFor {
				kept = append(kept, cn)
				continue
			}
			cn.abort()
			c.count--
		}
		clear(list[len(kept):])
		c.idle[to] = kept
		if len(kept) == 0 {
			delete(c.idle, to)
		}
	}
	c.sweep = nil
	if c.count > 0 {
		c.sweep = time.AfterFunc(c.idleFor/4+time.Millisecond, c.expire)
	}
}
