package redis

import goredis "github.com/redis/go-redis/v9"

// Tries is how a Config has commands sent.
func (c Config) Tries() (*goredis.UniversalOptions, error) { return c.options() }
