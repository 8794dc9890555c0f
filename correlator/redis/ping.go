package redis

import "context"

// Ping reports why Redis cannot be asked, in our words; nil if it answers.
func Ping(ctx context.Context, cfg Config) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	client, err := cfg.connect()
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }() // it has nothing to lose
	if err := client.Ping(ctx).Err(); err != nil {
		return unavailable("ask Redis", err)
	}
	return nil
}
